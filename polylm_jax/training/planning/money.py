"""What a run takes at a given share of the hardware's peak: tokens a second, days, chip-hours, money."""

HOUR = 3600.0
UTILISATIONS = (0.4, 0.5, 0.6)


def at_utilisation(
    mfu: float,
    *,
    tokens: float,
    flops_per_token: float,
    chips: int,
    peak_flops: float,
    price_per_chip_hour: float | None = None,
) -> dict[str, float]:
    """Of a whole run of `tokens` tokens on `chips` chips; money in the price's currency."""
    tokens_per_second = mfu * chips * peak_flops / flops_per_token
    hours = tokens / tokens_per_second / HOUR
    row = {
        "mfu": mfu,
        "tokens_per_second": tokens_per_second,
        "days": hours / 24,
        "chip_hours": hours * chips,
    }
    if price_per_chip_hour is not None:
        row["money"] = row["chip_hours"] * price_per_chip_hour
    return row
