import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sources.recording import BadRowError, Columns, RecordingError, Row, heading, rows

ALL = Columns(price="close", time="timestamp", volume="volume")
HEADING = "timestamp,close,volume\n"


def a_file(folder: Path, text: str | bytes, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def at(second: int) -> datetime:
    return datetime(2022, 1, 1, 0, 0, second, tzinfo=UTC)


TWO_ROWS = HEADING + "2022-01-01 00:00:01,46319.0,7.5\n2022-01-01 00:00:02,46377,0\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_recording_is_read_plain_or_zipped_whatever_its_name(pack: type, tmp_path: Path) -> None:
    path = a_file(tmp_path, pack(TWO_ROWS.encode()), "prices.dat")

    assert list(rows(path, ALL)) == [
        Row(line=2, price=Decimal("46319.0"), volume=Decimal("7.5"), time=at(1)),
        Row(line=3, price=Decimal(46377), volume=Decimal(0), time=at(2)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2022-01-01T00:00:01Z",
        "2022-01-01T03:00:01+03:00",
        "2022-01-01 00:00:01.000000",
        "1640995201",
        "1640995201.0",
        "1640995201000",
        "1640995201000000",
    ],
)
def test_a_time_is_iso_or_an_epoch_of_any_usual_unit(text: str, tmp_path: Path) -> None:
    path = a_file(tmp_path, f"{HEADING}{text},1,1\n")

    assert next(rows(path, ALL)).time == at(1)


def test_a_byte_order_mark_blank_lines_and_windows_ends_do_no_harm(tmp_path: Path) -> None:
    path = a_file(tmp_path, b"\xef\xbb\xbf" + TWO_ROWS.replace("\n", "\r\n\r\n").encode())

    assert [row.line for row in rows(path, ALL)] == [3, 5]


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    path = a_file(tmp_path, "open,close\nnonsense,5\n")

    assert list(rows(path, Columns(price="close"))) == [Row(line=2, price=Decimal(5))]


BAD = [
    ("2022-01-01 00:00:03,cheap,1", "close 'cheap': not a number"),
    ("2022-01-01 00:00:03,,1", "close ''"),
    ("2022-01-01 00:00:03,nan,1", "not a number"),
    ("2022-01-01 00:00:03,1e400,1", "below 10\\^12"),
    ("2022-01-01 00:00:03,-5,1", "above 0"),
    ("2022-01-01 00:00:03,0,1", "above 0"),
    ("2022-01-01 00:00:03,0.004,1", "half a tick"),
    ("2022-01-01 00:00:03,5,-1", "volume '-1'"),
    ("2022-01-01 00:00:03,5", "2 columns where the heading has 3"),
    ("2022-01-01 00:00:03,46,377,1", "4 columns"),
    ("2022-01-01 00:00:00,5,1", "timestamp goes back"),
    ("yesterday,5,1", "timestamp 'yesterday'"),
    ("9999999999999999999,5,1", "timestamp"),
    ("2022-01-01 00:00:03,\N{SNOWMAN},1", "not a number"),
]


@pytest.mark.parametrize(("bad", "problem"), BAD)
def test_a_bad_row_is_named_by_file_and_line_after_the_good_ones(
    bad: str, problem: str, tmp_path: Path
) -> None:
    found = rows(a_file(tmp_path, f"{TWO_ROWS}{bad}\n"), ALL, lowest=Decimal("0.005"))

    assert [next(found).line, next(found).line] == [2, 3]
    with pytest.raises(BadRowError, match=f"prices.csv: line 4: .*{problem}") as caught:
        next(found)
    assert caught.value.line == 4


@pytest.mark.parametrize(("bad", "problem"), BAD)
def test_a_bad_row_is_left_out_when_that_is_wanted(bad: str, problem: str, tmp_path: Path) -> None:
    path = a_file(tmp_path, f"{TWO_ROWS}{bad}\n2022-01-01 00:00:09,5,1\n")
    told: list[BadRowError] = []

    found = list(rows(path, ALL, lowest=Decimal("0.005"), on_bad=told.append))

    assert [row.line for row in found] == [2, 3, 5]
    assert [error.line for error in told] == [4]


def test_a_byte_that_is_no_text_spoils_its_own_row_alone(tmp_path: Path) -> None:
    path = a_file(tmp_path, TWO_ROWS.encode() + b"2022-01-01 00:00:03,\xff5,1\n")

    with pytest.raises(BadRowError, match="line 4: close"):
        list(rows(path, ALL))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"time,price\n1,2\n", "no column 'close' among time, price"),
        (gzip.compress(TWO_ROWS.encode(), mtime=0)[:40], "line 2: Compressed file ended"),
        (b'timestamp,close,volume\n"2022', "line 3: unexpected end"),
    ],
)
def test_a_file_that_is_no_recording_says_why(content: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=f"prices.csv: .*{problem}"):
        list(rows(a_file(tmp_path, content), ALL))


def test_a_missing_file_and_a_folder_say_why(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        heading(tmp_path / "none.csv")
    with pytest.raises(RecordingError, match="Is a directory"):
        heading(tmp_path)
