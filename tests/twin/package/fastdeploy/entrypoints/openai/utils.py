"""Where the real package makes the server's parser."""

from fastdeploy._twin.args import add_options as make_arg_parser

__all__ = ["make_arg_parser"]
