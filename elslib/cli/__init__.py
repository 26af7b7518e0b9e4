"""`elslib ...`: data, training, calibration and the book from the command line."""

import click

import elslib
from elslib.cli.book import book, pdf
from elslib.cli.data import data
from elslib.cli.networks import agree, calibrate, network, pairs, train
from elslib.cli.sample import draw
from elslib.cli.sweep import sweep_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(elslib.__version__)
def main() -> None:
    """Score machines that are posteriors over training patches, and the book about them."""


for command in (data, network, train, calibrate, agree, pairs, draw, sweep_command, book, pdf):
    main.add_command(command)
