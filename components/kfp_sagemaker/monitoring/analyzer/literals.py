"""How values are written: what tells whole numbers, other numbers and text apart, as Deequ's DataType analyzer does."""

INTEGRAL = r"^[+-]?\d+$"
FRACTIONAL = r"^[+-]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][+-]?\d+|\.\d+[eE][+-]?\d+)$"
NOT_FINITE = r"^(?i:[+-]?(nan|inf|infinity))$"
