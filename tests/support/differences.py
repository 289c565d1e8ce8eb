"""Every deliberate difference from the stock handler, with its reason.

The table of docs/entries.md. `test_parity` holds it both ways: a difference that is not here fails,
and so does a row that is no longer true.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One row: what it is about, what either handler does, why, and how it is shown.

    `outcome` is what the stock handler does with the cases of the corpus: it ``raises``, or its
    request is ``refused``, or the entries differ in these fields. `shown_by` is a test of its own.
    """

    what: str
    stock: str
    forklog: str
    reason: str
    outcome: str = ""
    cases: frozenset[str] = frozenset()
    shown_by: str = ""


DIFFERENCES = (
    Difference(
        "insertId",
        "made by the server",
        "made at the log call",
        "a batch that is sent twice is shown once",
        shown_by="test_the_corpus_leaves_the_same_entries",
    ),
    Difference(
        "timestamp",
        "microseconds; with `SyncTransport` the time of receipt",
        "nanoseconds, as far as the record's float goes",
        "order",
        shown_by="test_the_corpus_leaves_the_same_entries",
    ),
    Difference(
        "levels between the standard ones",
        "sent as the number, whose effect the API calls undefined",
        "the nearest lower standard severity",
        "delivered, and found by severity",
        "severity",
        frozenset(["record: level -5", "record: level 25", "record: level 35"]),
    ),
    Difference(
        "levels that are no severity",
        "the request is refused",
        "the nearest lower standard severity, else `DEFAULT`",
        "delivered",
        "refused",
        frozenset(["record: level 10**30", "record: level True", "record: level nan"]),
    ),
    Difference(
        "wrong `%` arguments, messages and arguments without a text",
        "raises into the application",
        "message and arguments, described",
        "a log call never raises",
        "raises",
        frozenset(
            [
                "arguments: a deep argument",
                "arguments: a number without text",
                "arguments: a percent sign",
                "arguments: arguments but no message",
                "arguments: half a format",
                "arguments: hostile",
                "arguments: hostile mapping",
                "arguments: no such format",
                "arguments: no such name",
                "arguments: no text",
                "arguments: raises",
                "arguments: repr raises",
                "arguments: too few",
                "arguments: too many",
                "arguments: wrong type",
                "message: braces with arguments",
                "message: mapping proxy",
                "message: mapping unreadable",
                "message: message hostile in all",
                "message: message no text",
                "message: message raises",
            ]
        ),
    ),
    Difference(
        "values that JSON has no word for",
        "raises into the application (`SyncTransport`), or the batch is lost",
        "text, ISO 8601, lists, numbers; cycles and what is below 32 levels are cut",
        "delivered",
        "raises",
        frozenset(
            [
                "text: JSON of a number without text",
                "text: JSON too deep",
                "value: Decimal",
                "value: Fraction",
                "value: UUID",
                "value: a dead proxy",
                "value: a mock",
                "value: a slotted dataclass",
                "value: an object",
                "value: aware datetime",
                "value: beyond all digits",
                "value: bytes",
                "value: code",
                "value: complex",
                "value: cycles",
                "value: dataclass",
                "value: date and time",
                "value: depth 10,000 of dicts",
                "value: depth 10,000 of lists",
                "value: enumeration",
                "value: fields that are hostile",
                "value: hostile",
                "value: hostile mapping",
                "value: keys of all kinds",
                "value: keys that raise",
                "value: memory view",
                "value: naive datetime",
                "value: named tuple",
                "value: numpy array",
                "value: numpy scalars",
                "value: numpy time",
                "value: path",
                "value: sets",
                "value: timedelta",
            ]
        ),
    ),
    Difference(
        "records that lack attributes or hold wrong ones, hostile `extra=`",
        "raises into the application",
        "repaired or left out, and marked",
        "a log call never raises",
        "raises",
        frozenset(
            [
                "exception: exc_info hostile",
                "exception: exc_info of a wrong type",
                "exception: stack_info of a wrong type",
                "extra: a request of numpy",
                "extra: a resource of no type",
                "extra: everything None",
                "extra: everything a mock",
                "extra: everything hostile",
                "extra: labels of wrong types",
                "extra: names of methods",
                "record: from a hostile dict",
                "record: of a broken class",
                "record: without a level",
                "record: without a message",
                "record: without a name",
                "record: without anything",
                "record: without arguments",
                "record: without exc_info",
                "record: without exc_text",
                "record: without stack_info",
            ]
        ),
    ),
    Difference(
        "NaN, infinities and lone surrogates in texts, fields or names",
        "the request is refused",
        '`"NaN"`, `"Infinity"`, `\\ud800`',
        "delivered",
        "refused",
        frozenset(
            [
                "arguments: surrogate",
                "exception: surrogates in it",
                "record: a name of odd characters",
                "text: 3 MB of surrogates",
                "text: JSON of NaN",
                "text: JSON of a surrogate",
                "text: a split pair",
                "text: lone surrogates",
                "value: NaN and infinities",
                "value: surrogates",
            ]
        ),
    ),
    Difference(
        "texts and payloads above the limit of an entry",
        "the request is refused",
        "split, or cut and marked",
        "delivered",
        "refused",
        frozenset(
            [
                "exception: 1 MB of traceback",
                "text: 1 MB of NUL",
                "value: 100,000 keys",
                "value: small members beside a large one",
            ]
        ),
    ),
    Difference(
        "extras and places that the API refuses",
        "the request is refused, with all other entries of it",
        "repaired or left out, and marked",
        "delivered",
        "refused",
        frozenset(
            [
                "extra: 100 labels",
                "extra: a span as number",
                "extra: a span of 1 MB",
                "extra: a trace of 1 MB",
                "extra: an odd request",
                "extra: an odd source",
                "record: a path of 1 MB",
                "record: line 2**70",
            ]
        ),
    ),
    Difference(
        "payloads without end (lists that share their parts)",
        "the log call does not return",
        "cut and marked",
        "a log call never hangs",
        "endless",
        frozenset(["value: a billion laughs"]),
    ),
    Difference(
        "integers beyond 64 bits in payloads",
        "rounded to a double",
        "all digits, as text",
        "nothing is lost",
        "jsonPayload",
        frozenset(["text: JSON of a large number", "value: beyond 64 bits"]),
    ),
    Difference(
        'keys of one text, such as `1` and `"1"`',
        "the first is lost",
        "distinguished: `1 (1)`",
        "nothing is lost",
        "jsonPayload",
        frozenset(["value: keys of one text"]),
    ),
    Difference(
        "attributes with the filter's names (`_labels`, `_trace`), set by the application",
        "overwritten by its own filter",
        "read, as a filter in front of the handler sets them",
        "`CloudLoggingFilter` works in front of it",
        "labels,sourceLocation,traceSampled",
        frozenset(["extra: our filter's names"]),
    ),
    Difference(
        "what had to be changed",
        "not reported",
        "named in the label `forklog_repaired`",
        "a repair is not silent",
        "labels",
        frozenset(
            [
                "extra: large labels",
                "record: a name of 1 MB",
                "record: time -1.5",
                "record: time 10000",
                "record: time 40000",
                "record: time None",
                "record: time inf",
                "record: time nan",
                "record: time now",
                "record: without a time",
                "value: fields of another type",
            ]
        ),
    ),
    Difference(
        "wrong times (negative, NaN, more than 24 h ahead)",
        "`SyncTransport` sends none; else raises, or the batch is lost",
        "set to now, and marked",
        "delivered",
        shown_by="test_wrong_times_are_a_difference",
    ),
    Difference(
        "the trace label of App Engine",
        "stays with later entries that have no trace",
        "only with its own entry",
        "the stock one changes a shared dict",
        shown_by="test_the_trace_label_of_app_engine",
    ),
    Difference(
        "the labels of a Cloud Run job",
        "by the resource of each entry",
        "by the resource of the handler",
        "sent once with the request",
        shown_by="test_the_labels_of_a_cloud_run_job",
    ),
    Difference(
        "labels of the handler",
        "in each entry",
        "once in the request; the server merges them",
        "bytes",
        shown_by="test_the_corpus_leaves_the_same_entries",
    ),
    Difference(
        "a diagnostic entry about the library",
        "sent once a process, by `SyncTransport`",
        "not sent",
        "it is not the application's",
        shown_by="test_the_diagnostic_entry",
    ),
    Difference(
        "what the handler is",
        "a `logging.StreamHandler` with `stream`, and a `CloudLoggingFilter` among its filters",
        "a `logging.Handler` without a stream and without a filter",
        "it writes to no stream, and finds out by itself what the filter finds",
        shown_by="test_the_handler_is_no_stream_handler",
    ),
    Difference(
        "`transport=` of another class than `BackgroundThreadTransport`",
        "makes one",
        "`OptionError`",
        "a log call does not wait for the network, but [where no thread can run]"
        "(process-models.md#a-uwsgi-server-without-threads)",
        shown_by="test_other_transports_are_refused",
    ),
    Difference(
        "odd trace headers (no trace of 32 digits, spans such as `1_0`, text behind the fields)",
        "read, in part",
        "left out",
        "they name nothing",
        shown_by="test_odd_trace_headers",
    ),
    Difference(
        "the resource's `project_id`, where the metadata server names no project",
        "empty, unless the type is `global`",
        "the project of the option or the credentials",
        "the entry is filed there",
        shown_by="test_a_metadata_server_that_names_no_project",
    ),
    Difference(
        "`labels`, `resource` and `transport` that are changed on the handler",
        "in effect with the next record",
        "kept as attributes, without effect; give them to the constructor",
        "labels and resource are sent once with the request, by forklog's own wire",
        shown_by="test_what_is_changed_later_has_no_effect",
    ),
)
