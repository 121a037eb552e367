"""Options as argv words, read back by the parser that engines use."""

import argparse

import pytest

from launcher.engines.options import Option, option_arguments

VALUES = ("-1", "-1.5", "-.5", "-1e+16", "-1e5", "-inf", "-x", "--port", "-", "-1 2", "a-b", "")


@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_looks_like_a_flag_arrives_as_a_value(value: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--revision")
    parser.add_argument("--port")
    arguments = option_arguments(Option("revision", ("--revision",)), value)
    assert parser.parse_args(arguments) == argparse.Namespace(revision=value, port=None)
