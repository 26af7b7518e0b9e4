"""`elslib book` and `elslib pdf`."""

import click

from elslib.cli.common import extra, plain_errors


@click.command()
@plain_errors
def book() -> None:
    """Execute the notebooks that changed, check them, build the HTML. Example: elslib book"""
    with extra("book"):
        from elslib.book import html
    try:
        page = html.build()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThe book is ready. Open {page}")


@click.command()
@plain_errors
def pdf() -> None:
    """The whole book as one PDF, printed by Chromium. Example: elslib pdf"""
    with extra("dev"):
        from elslib.book import pdf
    try:
        file = pdf.build()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThe book is printed: {file}")
