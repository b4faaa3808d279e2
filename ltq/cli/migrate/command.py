"""`ltq migrate`: make or upgrade what a broker keeps its tasks in."""

import asyncio

import click

from ltq.cli._broker import open_broker
from ltq.cli._errors import CommandError
from ltq.cli._options import broker_url_option


@click.command()
@click.option(
    "--sql", "as_sql", is_flag=True, help="Print the statements for psql, and do nothing."
)
@broker_url_option
def migrate(as_sql: bool, broker_url: str | None) -> None:
    """Make the tables of a PostgreSQL broker, or bring them to the version of this LTQ.

    Run it before the workers of a new version start. Doing it twice, or in several places at once,
    does no harm: all of it is one transaction. The user of the broker URL has to be allowed to
    create the schema. Other brokers have nothing to migrate.

    \b
    Examples:
      ltq migrate --broker-url postgresql://app@localhost/app
      ltq migrate --sql --broker-url postgresql://app@localhost/app
    """
    asyncio.run(_migrate(broker_url, as_sql=as_sql))


async def _migrate(url: str | None, *, as_sql: bool) -> None:
    async with open_broker(url) as broker:
        if not broker.migration:
            raise CommandError(f"{broker.url} has nothing to migrate: only PostgreSQL has")
        if as_sql:
            click.echo(broker.migration, nl=False)
        elif await broker.migrate():
            click.echo(f"{broker.url}: migrated")
        else:
            click.echo(f"{broker.url}: up to date")
