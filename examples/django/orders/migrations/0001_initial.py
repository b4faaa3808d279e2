"""The first tables."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Made by `manage.py makemigrations`."""

    initial = True
    dependencies: ClassVar[list[object]] = []
    operations: ClassVar[list[object]] = [
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("article", models.CharField(max_length=100)),
                ("amount", models.PositiveIntegerField(default=1)),
                ("price", models.FloatField(null=True)),
            ],
        ),
    ]
