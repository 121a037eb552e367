"""One file per verb: read the options, call one function, hand the result to `report`."""
