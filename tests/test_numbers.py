"""Numbers for people."""

import pytest

from launcher.numbers import short


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0, 4, "0"),
        (0.12345, 4, "0.1235"),
        (12.345, 3, "12.3"),
        (99.96, 3, "100"),
        (999.96, 3, "1000"),
        (12345.6, 4, "12346"),
        (112.4, 2, "112"),
        (9.96, 2, "10"),
        (-54321.0, 3, "-54321"),
    ],
)
def test_no_digit_of_the_whole_part_is_lost_to_an_exponent(
    value: float, digits: int, expected: str
) -> None:
    assert short(value, digits) == expected
