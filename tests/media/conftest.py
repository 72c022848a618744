from pathlib import Path

import pytest

from discs import an_object


@pytest.fixture
def disc(tmp_path) -> Path:
    for number in range(1, 7):
        series = 1 + number % 2
        folder = tmp_path / "D" / f"P{number % 3}" / f"SE{series}"
        an_object(
            folder / f"IM{number}",
            number,
            PatientID=f"P{number % 3}",
            StudyInstanceUID=f"1.2.4.{number % 3}",
            SeriesInstanceUID=f"1.2.5.{number % 3}.{series}",
            SeriesNumber=series,
        )
    return tmp_path / "D"
