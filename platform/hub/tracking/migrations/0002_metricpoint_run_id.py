"""The order in which a run's points came: for the mirror's cursor, the board's last values and history pages."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0001_initial")]

    operations = [
        migrations.AddIndex("metricpoint", models.Index(fields=["run", "id"], name="metric_point_order")),
    ]
