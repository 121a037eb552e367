"""Where the real package has its parser class."""

from fastdeploy._twin.args import FlexibleArgumentParser as FlexibleArgumentParser
