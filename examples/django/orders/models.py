"""What is stored."""

from django.db import models


class Order(models.Model):
    """An order, which a task prices."""

    article = models.CharField(max_length=100)
    amount = models.PositiveIntegerField(default=1)
    price = models.FloatField(null=True)
