"""Releases never change, and neither do rollouts that have ended: enforced by the database."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION deploy_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% % is frozen', TG_TABLE_NAME, OLD.id USING ERRCODE = 'restrict_violation';
END $$;
-- Removing a user sets created_by to NULL; nothing else may change.
CREATE TRIGGER release_frozen BEFORE UPDATE ON deploy_release FOR EACH ROW
    WHEN (to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id')
    EXECUTE FUNCTION deploy_frozen();
CREATE TRIGGER ended_rollout_frozen BEFORE UPDATE ON deploy_rollout FOR EACH ROW
    WHEN (OLD.state IN ('succeeded', 'aborted', 'failed')
          AND to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id')
    EXECUTE FUNCTION deploy_frozen();
"""
BACKWARD = """
DROP TRIGGER ended_rollout_frozen ON deploy_rollout;
DROP TRIGGER release_frozen ON deploy_release;
DROP FUNCTION deploy_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("deploy", "0001_releases_and_rollouts")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
