"""Taking a right away is told at once to the web processes, whoever wrote the row and how."""

from django.db import migrations

# NOTIFY carries the user's id. A lost notice is made up for by the periodic check of each socket.
FORWARD = """
CREATE FUNCTION base_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record := COALESCE(NEW, OLD);
    user_id uuid := (to_jsonb(changed) ->> TG_ARGV[0])::uuid;
BEGIN
    PERFORM pg_notify('pilothouse_access', user_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER membership_access_changed AFTER INSERT OR UPDATE OR DELETE ON base_membership
    FOR EACH ROW EXECUTE FUNCTION base_access_changed('user_id');
CREATE TRIGGER user_access_changed
    AFTER UPDATE OF password, is_active, is_superuser ON base_user
    FOR EACH ROW WHEN (
        (OLD.password, OLD.is_active, OLD.is_superuser)
        IS DISTINCT FROM (NEW.password, NEW.is_active, NEW.is_superuser)
    ) EXECUTE FUNCTION base_access_changed('id');
CREATE TRIGGER api_key_access_changed AFTER UPDATE OF revoked_at, expires_at ON base_apikey
    FOR EACH ROW EXECUTE FUNCTION base_access_changed('owner_id');
"""
BACKWARD = """
DROP TRIGGER api_key_access_changed ON base_apikey;
DROP TRIGGER user_access_changed ON base_user;
DROP TRIGGER membership_access_changed ON base_membership;
DROP FUNCTION base_access_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("base", "0003_idempotency_keys")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
