"""Capture names: patterns, parsing and formatting."""

from __future__ import annotations

import copy
import pickle
import time
from datetime import UTC, datetime

import attrs
import pytest

from intouch_import.errors import CaptureNameError, NamingPatternError
from intouch_import.filenames import DEFAULT_PATTERN, MAX_NAME_LENGTH, CaptureNaming
from intouch_import.model import CaptureName

TAKEN = "{taken:%Y%m%d_%H%M%S}"
NAME = "10042_DRJ_20260131_142501.jpg"
CAPTURE = CaptureName(
    patient="10042",
    provider="DRJ",
    taken_local=datetime(2026, 1, 31, 14, 25, 1),
    extension=".jpg",
)
NEEDS_SEQUENCE = "{patient}_{provider}_" + TAKEN + "_{sequence}"
NO_SEQUENCE = "{patient}_{provider}_" + TAKEN


class FinerDatetime(datetime):
    """A time that is finer than the fields of `datetime`."""

    __hash__ = datetime.__hash__

    def __eq__(self, other: object) -> bool:
        """Equal nothing: the digits beyond the microsecond differ."""
        return False


def wrap(narrowing: str) -> str:
    """Return a valid pattern with this restriction of the patient."""
    return "{patient:" + narrowing + "}_{provider}_" + TAKEN


def refusal(pattern: str) -> str:
    """Return the reason why a pattern is refused."""
    with pytest.raises(NamingPatternError) as caught:
        CaptureNaming(pattern)
    return str(caught.value)


def test_default_pattern_reads_a_name() -> None:
    """The default pattern reads patient, provider, date, time and extension."""
    assert CaptureNaming().parse(NAME) == CAPTURE


def test_sequence_and_extension_are_kept_as_written() -> None:
    """Leading zeros of the sequence and the letter case of the extension survive."""
    expected = attrs.evolve(CAPTURE, sequence="007", extension=".JPG")
    assert CaptureNaming().parse("10042_DRJ_20260131_142501_007.JPG") == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "IMG_0001.jpg",
        "10042_DRJ_20260131_142501",
        "10042_DRJ_20260131_142501.",
        "10042_DRJ_20260131_142501.jpg ",
        "10042_DRJ_20260131_142501.jpg\n",
        " 10042_DRJ_20260131_142501.jpg",
        "10042_DRJ_20260131_142501.elevenchars",
        "10042_DRJ_20260131_142501.jp-g",
        "10042_DRJ_20260131_142501.tar.gz",
        "10042_DRJ_20260131_142501_.jpg",
        "10042_DRJ_20260131_142501_a.jpg",
        "10042_DRJ_2026131_142501.jpg",
        "_DRJ_20260131_142501.jpg",
        "10042__20260131_142501.jpg",
        "a/10042_DRJ_20260131_142501.jpg",
        "\uff11_DRJ_20260131_142501.jpg",
        "1_DRJ_2026013\u0661_142501.jpg",
        "1_DR\N{KELVIN SIGN}_20260131_142501.jpg",
        "1_DRJ_20260131_142501.\udcff",
    ],
)
def test_other_structures_are_not_read(name: str) -> None:
    """A name with another structure is not read."""
    assert CaptureNaming().parse(name) is None


@pytest.mark.parametrize(
    "digits",
    [
        "20260231_000000",
        "20250229_000000",
        "20260001_000000",
        "20261301_000000",
        "20260100_000000",
        "20260101_240000",
        "20260101_006000",
        "20260101_000060",
        "00000101_000000",
    ],
)
def test_times_that_cannot_exist_are_told(digits: str) -> None:
    """An impossible time is an error; its text contains nothing of the name."""
    with pytest.raises(CaptureNameError) as caught:
        CaptureNaming().parse(f"10042_DRJ_{digits}.jpg")
    assert "date or time can't exist" in str(caught.value)
    assert not any(char.isdigit() for char in str(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_extreme_times_are_read() -> None:
    """The first and the last second of the calendar, and 29 February, are read."""
    naming = CaptureNaming()
    for digits in ("00010101_000000", "99991231_235959", "20240229_120000"):
        name = f"1_2_{digits}.jpg"
        capture = naming.parse(name)
        assert capture is not None
        assert naming.format(capture) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{taken:%Y%m%d}_{patient}_{provider}_{taken:%H%M%S}", "20260131_10042_DRJ_142501.jpg"),
        ("{patient:[0-9]{1,8}}{provider:[A-Z]+}{taken:%d.%m.%Y %H-%M-%S}", "10042DRJ31.01.2026 14-25-01.jpg"),
        (r"{patient:\d+}.{provider:\w{2,3}}.{taken:%S%M%H%d%m%Y}", "10042.DRJ.01251431012026.jpg"),
        ("{{{patient}}}-[[{provider}]]-{taken:%Y%%%m%d[%H%M%S]}", "{10042}-[DRJ]-2026%0131[142501].jpg"),
        ("{patient}_{provider:DR?[J-L]*}_{taken:%Y%m%d%H%M%S}", "10042_DRJ_20260131142501.jpg"),
        (r"{patient:[\d\-]{5}}+{provider:[A\-\]-]?DRJ}_{taken:%Y%m%d%H%M%S}", "10042+DRJ_20260131142501.jpg"),
    ],
)
def test_patterns_of_many_shapes(pattern: str, name: str) -> None:
    """Parts may be in any order, restricted and escaped, and the time in several places."""
    naming = CaptureNaming(pattern)
    assert naming.parse(name) == CAPTURE
    assert naming.format(CAPTURE) == name


def test_narrowing_is_obeyed() -> None:
    """A restricted part matches no other characters, and no more of them."""
    naming = CaptureNaming(r"{patient:[A-C]?\d{2,3}\.x*}_{provider:\w+}_" + TAKEN)
    for patient in ("A12.", "123.xxx", "C99.x"):
        assert naming.parse(f"{patient}_d_r_20260131_142501.jpg") is not None
    for patient in ("D12.", "1.", "1234.", "12", "12.y", "AA12.", "12,"):
        assert naming.parse(f"{patient}_d_r_20260131_142501.jpg") is None


@pytest.mark.parametrize(
    ("narrowing", "read", "not_read"),
    [
        ("[A-C0-3x]+", ["A", "C", "0", "3", "x", "B2x"], ["D", "4", "y", "-", "A-C"]),
        ("[a-a]", ["a"], ["b", "-", "aa"]),
        (r"\d+", ["1", "12"], ["a", "1a"]),
        ("x{1}", ["x"], ["xx"]),
        ("x{1,2}", ["x", "xx"], ["xxx"]),
        ("x{0,1}y", ["y", "xy"], ["x", "xxy"]),
        ("x*y", ["y", "xy", "xxxy"], ["x"]),
        ("x?y", ["y", "xy"], ["x", "xxy"]),
        (r"\(\)\*\.", ["()*."], ["()", "()**.", "()*x"]),
        ("[-a]", ["-", "a"], ["b"]),
    ],
)
def test_each_form_of_narrowing(narrowing: str, read: list[str], not_read: list[str]) -> None:
    """A part matches exactly the characters and counts of its restriction."""
    naming = CaptureNaming(wrap(narrowing))
    for patient in read:
        capture = naming.parse(f"{patient}_DRJ_20260131_142501.jpg")
        assert capture == attrs.evolve(CAPTURE, patient=patient)
        assert naming.format(capture) == f"{patient}_DRJ_20260131_142501.jpg"
    assert [naming.parse(f"{patient}_DRJ_20260131_142501.jpg") for patient in not_read] == [None] * len(
        not_read
    )


def test_fixed_text_stands_for_itself() -> None:
    """Fixed text may contain every ASCII character that names allow; special ones are doubled."""
    text = "".join(char * 2 for char in map(chr, range(32, 127)) if char not in "/\\")
    doubled = "".join(char * 2 if char in "{}[]" else char for char in text)
    naming = CaptureNaming(doubled + NO_SEQUENCE)
    capture = naming.parse(text + NAME)
    assert capture == CAPTURE
    assert naming.format(capture) == text + NAME
    assert naming.parse(text.replace("XX", "X") + NAME) is None
    for one in "X%":
        naming = CaptureNaming(one + NO_SEQUENCE)
        assert naming.parse(one + NAME) == CAPTURE
        assert naming.format(CAPTURE) == one + NAME


def test_microseconds_are_six_digits() -> None:
    """With %f in the pattern the time is read and written to the microsecond."""
    naming = CaptureNaming("{patient}_{provider}_{taken:%Y%m%d_%H%M%S.%f}")
    capture = naming.parse("1_2_20260131_142501.000042.jpg")
    assert capture is not None
    assert capture.taken_local.microsecond == 42
    assert naming.format(capture) == "1_2_20260131_142501.000042.jpg"
    assert naming.parse("1_2_20260131_142501.42.jpg") is None


def test_required_sequence() -> None:
    """A sequence outside an optional group is required for parsing and formatting."""
    naming = CaptureNaming(NEEDS_SEQUENCE)
    assert naming.parse(NAME) is None
    assert naming.format(attrs.evolve(CAPTURE, sequence="1")) == "10042_DRJ_20260131_142501_1.jpg"


def test_optional_group_with_text_on_both_sides() -> None:
    """The optional group is present as a whole or not at all."""
    naming = CaptureNaming("{patient}_{provider}_" + TAKEN + "[ ({sequence})]]_]!")
    assert naming.parse("10042_DRJ_20260131_142501!.jpg") == CAPTURE
    assert naming.parse("10042_DRJ_20260131_142501 (3)]_!.jpg") == attrs.evolve(CAPTURE, sequence="3")
    assert naming.parse("10042_DRJ_20260131_142501 (3)!.jpg") is None


@pytest.mark.parametrize(
    ("pattern", "change", "reason"),
    [
        (DEFAULT_PATTERN, {"patient": "10_042"}, "{patient} does not match"),
        (DEFAULT_PATTERN, {"patient": ""}, "{patient} does not match"),
        (DEFAULT_PATTERN, {"provider": "D/J"}, "{provider} does not match"),
        (DEFAULT_PATTERN, {"sequence": "a"}, "{sequence} does not match"),
        (DEFAULT_PATTERN, {"sequence": ""}, "{sequence} does not match"),
        (DEFAULT_PATTERN, {"extension": "jpg"}, "the extension does not match"),
        (DEFAULT_PATTERN, {"extension": ""}, "the extension does not match"),
        (DEFAULT_PATTERN, {"extension": ".jpg\n"}, "the extension does not match"),
        (DEFAULT_PATTERN, {"taken_local": datetime(2026, 1, 31, tzinfo=UTC)}, "has a zone"),
        (DEFAULT_PATTERN, {"taken_local": CAPTURE.taken_local.replace(microsecond=5)}, "fraction"),
        (DEFAULT_PATTERN, {"taken_local": FinerDatetime(2026, 1, 31)}, "finer"),
        (DEFAULT_PATTERN, {"patient": "1" * MAX_NAME_LENGTH}, "more than 255"),
        (NEEDS_SEQUENCE, {"sequence": None}, "needs a sequence"),
        (NO_SEQUENCE, {"sequence": "1"}, "no place for a sequence"),
    ],
)
def test_what_no_name_can_say_is_refused(pattern: str, change: dict[str, object], reason: str) -> None:
    """Formatting refuses values that could not be parsed again; its message contains no value."""
    capture = attrs.evolve(CAPTURE, **change)  # type: ignore[arg-type]
    with pytest.raises(CaptureNameError) as caught:
        CaptureNaming(pattern).format(capture)
    assert reason in str(caught.value)
    assert "10042" not in str(caught.value)
    assert "DRJ" not in str(caught.value)


def test_names_up_to_the_longest_are_read() -> None:
    """Names of 255 characters are parsed and formatted, names of 256 are not."""
    naming = CaptureNaming()
    patient = "1" * (MAX_NAME_LENGTH - len(NAME) + len("10042"))
    longest = NAME.replace("10042", patient)
    capture = naming.parse(longest)
    assert capture is not None
    assert naming.format(capture) == longest
    assert naming.parse("1" + longest) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        # incomplete
        ("", "lacks {patient}, {provider}, the year (%Y), the month (%m), the day (%d), the hour (%H)"),
        ("{provider}_" + TAKEN, "lacks {patient}"),
        ("{patient}_" + TAKEN, "lacks {provider}"),
        ("{patient}_{provider}", "lacks the year (%Y), the month (%m)"),
        ("{patient}_{provider}_{taken:%Y%m%d}", "lacks the hour (%H), the minute (%M), the second (%S)"),
        ("{patient}_{provider}_{taken:%Y%m%d_%H%M}", "lacks the second (%S)"),
        # twice
        ("{patient}_{patient}_{provider}_" + TAKEN, "the pattern contains {patient} twice"),
        (NEEDS_SEQUENCE + "[-{sequence}]", "the pattern contains {sequence} twice"),
        ("{patient}_{provider}_" + TAKEN + "_{taken:%H}", "the pattern contains %H twice"),
        # unknown
        ("{doctor}", "unknown part"),
        ("{}", "unknown part"),
        ("{patient!r}", "unknown part"),
        ("{Patient}", "unknown part"),
        ("{taken:%b}", "%b depends on the language"),
        ("{taken:%A}", "%A depends on the language"),
        ("{taken:%p}", "%p depends on the language"),
        ("{taken:%y}", "%y does not give the century"),
        ("{taken:%j}", "%j is a day of the year"),
        ("{taken:%I}", "%I is a 12-hour clock"),
        ("{taken:%Z}", "%Z is a time zone"),
        ("{taken:%s}", "%s counts seconds in UTC"),
        ("{taken:%U}", "%U counts weeks"),
        ("{taken:%Q}", "unknown directive"),
        ("{taken:%-d}", "unknown directive"),
        ("{taken:%}", "a % needs a directive"),
        ("{taken:%", "a % needs a directive"),
        # braces
        ("{patient", "not closed"),
        ("{patient:", "not closed"),
        ("{patient:[0-9]{1,8}", "not closed"),
        ("{taken:%Y", "not closed"),
        ("{taken}", "{taken} needs a format"),
        ("{taken:}", "{taken} needs a directive"),
        ("{taken:%%}", "{taken} needs a directive"),
        ("{taken:%Y{%m}", "the format of {taken} can't contain braces"),
        ("a}", "this } closes nothing"),
        # optional group
        ("a]", "this ] closes nothing"),
        (NEEDS_SEQUENCE + "[_x]", "needs {sequence}"),
        ("[]", "needs {sequence}"),
        ("[_{sequence}", "the optional group is not closed"),
        ("[_[x]{sequence}]", "can't contain another"),
        ("[{patient}]", "only fixed text and {sequence} can be optional"),
        ("[{taken:%f}]", "only fixed text and {sequence} can be optional"),
        # characters
        ("a/{patient}", "fixed text can't contain a path separator"),
        ("a\\{patient}", "fixed text can't contain a path separator"),
        ("a\0", "fixed text can't contain control characters"),
        ("a\x7f", "fixed text can't contain control characters"),
        ("\xe4", "fixed text can only contain ASCII"),
        ("{taken:%Y/%m}", "fixed text can't contain a path separator"),
        (wrap("a/b"), "{patient} can't contain a path separator"),
        (wrap("[!-/]"), "{patient} can't contain a path separator"),
        (wrap("[a/]"), "{patient} can't contain a path separator"),
        (wrap(r"\\"), "{patient} can't contain a path separator"),
        (wrap(r"\/"), "{patient} can't contain a path separator"),
        (wrap(r"[\\]"), "{patient} can't contain a path separator"),
        (wrap("[+-9]"), "a range in its set does"),
        (wrap("[A-z]"), "a range in its set does"),
        (wrap("[\n]"), "{patient} can't contain control characters"),
        (wrap("\xe4"), "{patient} can only contain ASCII"),
        # narrowing
        (wrap(""), "{patient} could be empty"),
        (wrap("a?"), "{patient} could be empty"),
        (wrap("[0-9]*"), "{patient} could be empty"),
        (wrap("a{0,3}b?"), "{patient} could be empty"),
        (wrap("+"), "a count needs a character before it"),
        (wrap("{2}"), "a count needs a character before it"),
        (wrap("a+?"), "only one count may follow"),
        (wrap("a++"), "only one count may follow"),
        (wrap("a{2}{3}"), "only one count may follow"),
        (wrap("*"), "a count needs a character before it"),
        (wrap("?"), "a count needs a character before it"),
        (wrap("(a"), "groups and alternatives are not supported"),
        (wrap("a)"), "groups and alternatives are not supported"),
        (wrap("a|b"), "groups and alternatives are not supported"),
        (wrap(".+"), "special in regular expressions, but not here"),
        (wrap("^a"), "special in regular expressions, but not here"),
        (wrap("a$"), "special in regular expressions, but not here"),
        (wrap("a]"), "special in regular expressions, but not here"),
        (wrap(r"\s"), r"only d, w, and characters"),
        ("{patient:\\", r"only d, w, and characters"),
        (wrap("[^a]"), "can't be negated"),
        (wrap("[]"), "a set is empty"),
        ("{patient:[a", "a set is not closed"),
        (wrap("[a[b]"), "a set can't contain another"),
        (wrap("[9-0]"), "runs backwards"),
        (wrap(r"[\d-z]"), "needs one character at each end"),
        (wrap(r"[a-\w]"), "needs one character at each end"),
        (wrap("a{1,}"), "a count is written"),
        (wrap("a{,2}"), "a count is written"),
        (wrap("a{x}"), "a count is written"),
        (wrap("a{99999}"), "a count is written"),
        (wrap("a{3,2}"), "a count runs backwards"),
        (wrap("a{0}"), "a count must allow 1 to 64"),
        (wrap("a{65}"), "a count must allow 1 to 64"),
        (wrap("a{64}b{64}c{64}d{64}"), "add up to more than 255"),
        ("a" * 300, "add up to more than 255"),
    ],
)
def test_unusable_patterns_are_refused(pattern: str, reason: str) -> None:
    """Every mistake in a pattern has its own message."""
    assert reason in refusal(pattern)


def test_a_pattern_may_be_as_long_as_a_name() -> None:
    """The shortest name, with the longest extension, has at most 255 characters."""
    rest = "{patient}_{provider}_{taken:%Y%m%d%H%M%S}"  # 18 characters, and 11 of the extension
    assert CaptureNaming("a" * 226 + rest).pattern
    assert "add up to more than 255" in refusal("a" * 227 + rest)


@pytest.mark.parametrize(
    ("pattern", "at"),
    [
        ("a}", 2),
        ("ab]c", 3),
        ("{doctor}_", 8),
        ("{patient", 8),
        ("{{{patient}_{patient}", 21),
        ("{taken:%Y%Q}", 11),
        ("{patient:[a", 11),
        ("{patient:a{3,2}}", 15),
        ("{patient:a{x}}", 11),
    ],
)
def test_a_refusal_tells_where(pattern: str, at: int) -> None:
    """The message contains the position of the last character that was read, counted from 1."""
    assert refusal(pattern).endswith(f"(character {at} of the pattern)")


@pytest.mark.parametrize(
    ("pattern", "one", "other"),
    [
        ("{patient}{provider}_" + TAKEN, "{patient}", "{provider}"),
        (r"{patient:\w+}_{provider:\w+}_" + TAKEN, "{patient}", "fixed text"),
        ("{patient}-{provider}_" + TAKEN, "{patient}", "fixed text"),
        ("{patient}_" + TAKEN + "_{provider}[-{sequence}]", "{provider}", "fixed text"),
        ("{patient}_" + TAKEN + "_{provider}[{sequence}]", "{provider}", "{sequence}"),
        ("[{sequence}]{patient}_{provider}_" + TAKEN, "{sequence}", "{patient}"),
        (
            r"{taken:%Y%m%d}{patient:\d{1,2}}{provider:\d{1,2}}{taken:%H%M%S}",
            "{patient}",
            "{provider}",
        ),
        (r"{patient:\d+}{taken:%Y%m%d%H%M%S}{provider:\d+}", "{patient}", "%Y"),
    ],
)
def test_patterns_with_two_readings_are_refused(pattern: str, one: str, other: str) -> None:
    """A pattern is refused if some name can be parsed in two ways; the message has the parts and an example."""
    with pytest.raises(NamingPatternError) as caught:
        CaptureNaming(pattern)
    text = str(caught.value)
    assert "can be read in two ways" in text
    assert f"may belong to {one} or to {other};" in text or f"may belong to {other} or to {one};" in text
    assert repr(caught.value.__dict__["example"]) in text


@pytest.mark.parametrize(
    "narrowing",
    [r"\d+\d+", "[0-9]*[0-9]*[0-9]*x", r"[A-Z]?\w+", "a{1,2}a{1,2}", "a?a?b"],
)
def test_narrowing_with_two_readings_is_refused(narrowing: str) -> None:
    """A part that can match a text in two ways is refused, because matching it could take for ever."""
    with pytest.raises(NamingPatternError, match=r"\{patient\} can match") as caught:
        CaptureNaming(wrap(narrowing))
    assert repr(caught.value.__dict__["example"]) in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        wrap("a?a"),
        wrap(r"[A-Z]?\d+"),
        wrap(r"\w+\d"),
        "{patient}{taken:%Y%m%d%H%M%S}_{provider}[_{sequence}]",
        "{patient}_{provider}_{taken:%Y%m%d%H%M%S}[{sequence}]",
        r"{patient:\w+}_{provider}_{taken:%Y%m%d_%H%M%S}[_{sequence}]",
        r"{patient:\w+\d}-{provider:[A-Z]{2}\d*}_{taken:%Y%m%d_%H%M%S}",
    ],
)
def test_patterns_with_one_reading_are_accepted(pattern: str) -> None:
    """Adjacent parts are accepted if no name can be parsed in two ways."""
    assert CaptureNaming(pattern).pattern == pattern


@pytest.mark.parametrize("text", ["1", "_", "1_", "a-", "1_1_11111111_111111_", ".", "x.", "\u0661"])
@pytest.mark.parametrize("length", [MAX_NAME_LENGTH, 100_000])
@pytest.mark.parametrize(
    "pattern",
    [
        DEFAULT_PATTERN,
        r"{patient:\w{1,64}}-{provider:\w{1,64}}_{taken:%Y%m%d%H%M%S}{sequence:\d{1,64}}",
        r"{patient:[\d_]*1[\d_]{60}}-{provider:\w*1\w{60}}_{taken:%Y%m%d%H%M%S}",
        r"{patient:[\w.-]+}_{provider}_{taken:%Y%m%d_%H%M%S}[_{sequence}]",
    ],
)
def test_hostile_names_are_refused_at_once(pattern: str, length: int, text: str) -> None:
    """The time to parse a name is limited by its length times the size of the pattern."""
    naming = CaptureNaming(pattern)
    name = (text * length)[:length]
    started = time.process_time()
    assert naming.parse(name) is None
    # Generous by three orders of magnitude; a pattern that backtracks would take longer than the universe.
    assert time.process_time() - started < 1.0


def test_naming_is_a_value() -> None:
    """Equality, hash and repr use the pattern, and a naming can't be changed."""
    naming = CaptureNaming(NO_SEQUENCE)
    assert naming == CaptureNaming(NO_SEQUENCE) != CaptureNaming()
    assert hash(naming) == hash(CaptureNaming(NO_SEQUENCE))
    assert repr(naming) == f"CaptureNaming(pattern={NO_SEQUENCE!r})"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        naming.pattern = DEFAULT_PATTERN  # type: ignore[misc]


def test_naming_survives_pickling_and_copying() -> None:
    """A pickled naming parses the same names in another process."""
    naming = CaptureNaming(NO_SEQUENCE)
    for twin in (pickle.loads(pickle.dumps(naming)), copy.deepcopy(naming)):
        assert twin == naming
        assert twin.parse(NAME) == CAPTURE


def test_refusals_survive_pickling() -> None:
    """The example of a refused pattern survives pickling of the exception."""
    with pytest.raises(NamingPatternError) as caught:
        CaptureNaming("{patient}{provider}_" + TAKEN)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert str(twin) == str(caught.value)
    assert twin.example == caught.value.__dict__["example"]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("10042_DRJ_20260131_142501.jpg", "10042"),
        ("10042_DRJ_20260131_142501_7.jpg", "10042"),
        ("10042_DRJ_20260231_142501.jpg", "10042"),
        ("10042_DRJ_20260131_142501 (1).jpg", "10042"),
        ("10042_DRJ_20260131_142501-edited.jpg", "10042"),
        ("10042_DRJ_20260131_142501.jpg.xmp", "10042"),
        ("10042_DRJ_20260131_142501" + "x" * 400, "10042"),
        ("10042_DRJ_20260131_142501", "10042"),
        ("10042_DRJ_20260131_1425.jpg", None),
        ("IMG_10042_DRJ_20260131_142501.jpg", None),
        ("wound.jpg", None),
    ],
)
def test_the_patient_in_a_name_that_only_begins_like_a_capture_name(name: str, patient: str | None) -> None:
    """Copies, edited versions and impossible dates still name their patient."""
    assert CaptureNaming().patient_in(name) == patient


def test_the_patient_is_found_wherever_the_pattern_has_it() -> None:
    """An optional part may come first, and the patient may come last."""
    naming = CaptureNaming("[{sequence}-]{taken:%Y%m%d_%H%M%S}_{provider}_{patient}")
    assert naming.patient_in("7-20260131_142501_DRJ_10042.jpg") == "10042"
    assert naming.patient_in("20260131_142501_DRJ_10042 (1).jpg") == "10042"
