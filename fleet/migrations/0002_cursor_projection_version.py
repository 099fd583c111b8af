"""A watch cursor knows the shape of the projections it belongs to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0001_clusters_services_and_observed")]
    operations = [
        migrations.AddField(
            model_name="watchcursor",
            name="projection_version",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
    ]
