"""The audit trail rejects UPDATE and DELETE in the database itself."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION base_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON base_auditentry
    FOR EACH ROW EXECUTE FUNCTION base_append_only();
"""
BACKWARD = """
DROP TRIGGER audit_append_only ON base_auditentry;
DROP FUNCTION base_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("base", "0001_people_access_and_records")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
