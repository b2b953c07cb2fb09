"""Logs are read at 3 a.m.: found, linked, followed, downloaded, and never a danger to the reader."""

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from flows.infra.redaction import Redactor
from runs.logs import reading, store
from runs.logs.ansi import line_to_html, plain
from runs.models import Attempt, Run, TaskRun, Trigger
from runs.services import start_run
from tests.helpers.pages import Page, Person, sample_flow
from tests.helpers.waiting import within


# --- colours ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m after", '<span class="ansi-red">red</span> after'),
        ("\x1b[1;32mboth", '<span class="ansi-bold ansi-green">both</span>'),
        ("\x1b[1mbold\x1b[22m not", '<span class="ansi-bold">bold</span> not'),
        ("\x1b[91mbright\x1b[39m", '<span class="ansi-red">bright</span>'),
        ("\x1b[38;5;208mno theme knows this\x1b[m", "no theme knows this"),
        ("\x1b[38;2;1;2;3mnor this", "nor this"),
        ("\x1b]0;title\x07\x1b[2J\x1b[1;1Hmoved", "moved"),
        ("\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07", "link"),
        ("10 %\r50 %\r100 %", "100 %"),
        ("bell\x07 nul\x00 back\x08", "bell nul back"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[" + "1" * 5000 + "mstill here", "still here"),
        ("\x1b[" + ";1" * 5000 + "mbold", '<span class="ansi-bold">bold</span>'),
        ("\x1b[1;38:5:208mbold", '<span class="ansi-bold">bold</span>'),
        ("a\u202etxt.exe", 'a<span class="log-control">U+202E</span>txt.exe'),
        ("c1 \x9b31m", 'c1 <span class="log-control">U+009B</span>31m'),
        (
            "zero\u200bwidth \u2066x\u2069",
            'zero<span class="log-control">U+200B</span>width '
            '<span class="log-control">U+2066</span>x<span class="log-control">U+2069</span>',
        ),
        ("half \ud800", 'half <span class="log-control">U+D800</span>'),
        ("\x1b[31", "\x1b[31"[1:]),
    ],
)
def test_a_line_of_a_terminal_is_shown_with_its_colours_and_without_its_commands(line, html):
    assert line_to_html(line) == html


@given(st.text(alphabet=st.one_of(st.sampled_from("\x1b[]<>&\"';m0123\r\x07\x00ab"), st.characters()), max_size=200))
def test_whatever_is_printed_is_text_on_the_page(line):
    made = Page.__new__(Page)
    html = line_to_html(line)
    assert "<script" not in html and "\x1b" not in html
    stripped = html.replace("</span>", "")
    while '<span class="' in stripped:
        before, _, rest = stripped.partition('<span class="')
        names, _, rest = rest.partition('">')
        assert all(name.startswith(("ansi-", "log-")) for name in names.split())
        stripped = before + rest
    assert "<" not in stripped and ">" not in stripped and made is not None


# --- windows ---------------------------------------------------------------------------------------------------
@pytest.fixture
def log_file(settings, tmp_path):
    settings.DEX_HOME = tmp_path
    (tmp_path / "logs" / "1").mkdir(parents=True)
    return tmp_path / "logs" / "1" / "1.1.log"


def test_any_window_of_a_log_has_the_lines_that_the_file_has(log_file):
    lines = [f"line {n} " + "x" * (n % 300) for n in range(1, 12_001)]
    log_file.write_text("\n".join(lines) + "\n")
    for first, count in ((1, 10), (2, 1), (5999, 2000), (11_995, 100), (20_000, 5)):
        shown = reading.window("1/1.1.log", first, count)
        begin = min(first, 12_000)
        assert [line.text for line in shown.lines] == lines[begin - 1 : begin - 1 + count]
        assert [line.number for line in shown.lines] == list(range(begin, begin + len(shown.lines)))
        assert shown.total == 12_000
    last = reading.window("1/1.1.log")
    assert (last.first, last.last, last.end) == (10_001, 12_000, log_file.stat().st_size)


def test_a_log_that_grows_is_followed_line_by_line_without_gap_or_repeat(log_file):
    log_file.write_bytes(b"one\ntw")
    shown = reading.window("1/1.1.log", whole=True)
    seen, place, number = [line.text for line in shown.lines], shown.end, shown.last + 1
    for piece in (b"o\nthr", b"ee\n", b"", "vi\u00e9r\n".encode() + b"fi", b"ve\n"):
        with log_file.open("ab") as file:
            file.write(piece)
        grown = reading.after("1/1.1.log", place, number)
        assert [line.number for line in grown.lines] == list(range(number, number + len(grown.lines)))
        seen += [line.text for line in grown.lines]
        place, number = grown.end, number + len(grown.lines)
    assert seen == ["one", "two", "three", "vi\u00e9r", "five"]


def test_a_log_of_100_mb_opens_in_pieces(log_file):
    block = b"".join(b"%07d some output of a script that talks a lot\n" % n for n in range(10_000))
    with log_file.open("wb") as file:
        for _ in range(200):
            file.write(block)
    assert log_file.stat().st_size > 90 * 1024 * 1024
    with within(10):  # a guard against reading it all into lines; the figure is in the docs
        shown = reading.window("1/1.1.log")
    assert len(shown.lines) == reading.WINDOW and shown.total == 2_000_000


def test_search_finds_whatever_the_case_and_says_when_there_is_more(log_file):
    log_file.write_text("\n".join(f"{'Error' if n % 2 else 'fine'} {n}" for n in range(2000)))
    found = reading.search("1/1.1.log", "eRRor")
    assert len(found.hits) == reading.MOST_HITS and found.more and found.hits[0].text == "Error 1"
    assert reading.search("1/1.1.log", "nowhere") == reading.Found([], False)


def test_no_path_leads_out_of_the_folder_of_logs(log_file):
    for path in ("../../etc/passwd", "/etc/passwd", "1/../../secret"):
        for look in (reading.window, lambda relative: reading.search(relative, "x"), lambda r: reading.after(r, 0, 1)):
            with pytest.raises(ValueError, match="folder of logs"):
                look(path)


# --- the page --------------------------------------------------------------------------------------------------
@pytest.fixture
def attempt(db, settings, tmp_path):
    run = start_run(sample_flow(), trigger=Trigger.MANUAL, actor="ann")
    settings.DEX_HOME = tmp_path
    task = TaskRun.objects.create(run=run, unique_id="model.shop.x", identifier="x", kind="transformation", fence=1)
    path = f"{run.pk}/{task.pk}.1.log"
    writer = store.LogWriter(path, Redactor([]))
    for n in range(1, 5001):
        writer.line(f"line {n}" if n != 4321 else "\x1b[31mDatabase Error <b>\x1b[0m")
    writer.close()
    return Attempt.objects.create(
        task_run=task, fence=1, owner="w", started_at=timezone.now(), ended_at=timezone.now(), log_path=path
    )


def address(attempt, more=""):
    return f"/runs/{attempt.task_run.run_id}/tasks/{attempt.task_run_id}/log/{attempt.fence}/{more}"


def test_the_page_shows_the_end_and_links_to_any_line(attempt):
    ann = Person("ann", "runs.view_run", "runs.view_log", staff=False)
    page = ann.open(address(attempt))
    assert "line 5000" in page.html and "line 2999<" not in page.html and "Earlier lines" in page.html
    there = ann.open(address(attempt, "?line=1200"))
    assert 'id="L1200" class="marked"' in there.html and "Later lines" in there.html
    assert "Download" not in page.html


def test_searching_lists_the_lines_and_leads_to_them(attempt):
    page = Person("ann", "everything").open(address(attempt, "?q=database error"))
    assert "?line=4321#L4321" in page.links
    assert '<span class="ansi-red">Database Error &lt;b&gt;</span>' in page.html


def test_only_people_with_permission_can_download_all_of_it(attempt):
    reader = Person("ann", "runs.view_run", "runs.view_log", staff=False)
    assert reader.client.get(address(attempt, "text/")).status_code == 403
    answer = Person("bob", "everything").client.get(address(attempt, "text/"))
    assert answer["Content-Disposition"].startswith("attachment") and answer["Content-Type"].startswith("text/plain")
    assert len(b"".join(answer.streaming_content).splitlines()) == 5000


def test_the_tail_brings_what_came_since_and_says_when_it_is_over(attempt):
    ann = Person("ann", "everything")
    size = reading.window(attempt.log_path).end
    answer = ann.client.get(address(attempt, f"tail/?from={size}&line=5001")).json()
    assert not answer.pop("html").strip()
    assert answer == {"open": "", "from": size, "line": 5001, "over": True}
    earlier = ann.client.get(address(attempt, "tail/?from=0&line=1")).json()
    assert earlier["line"] == 2001 and not earlier["over"]


@pytest.mark.parametrize("asked", ["?line=0", "?line=99999999999999999999", "?line=x", "?q=%00", "?q=" + "a" * 5000])
def test_odd_questions_are_answered_with_the_log(attempt, asked):
    assert Person("ann", "everything").open(address(attempt, asked)).status == 200


def test_an_attempt_that_is_not_there_is_not_found(attempt):
    ann = Person("ann", "everything")
    for path in (
        "/runs/1/tasks/1/log/99/",
        f"/runs/{10**20}/tasks/1/log/1/",
        address(attempt).replace("/runs/", "/runs/9"),
    ):
        assert ann.client.get(path).status_code == 404
    assert Run.objects.count() == 1


CODES = st.sampled_from(
    ["\x1b[", "\x1b]", "\x9b", "m", ";", ":", "38", "48", "5", "2", "9" * 5000, "\u0661", "²", "\r", "\u202e"]
)


@given(st.lists(st.one_of(CODES, st.text(max_size=20), st.characters(categories=["Cs", "Cc", "Cf"])), max_size=40))
def test_nothing_that_is_printed_keeps_a_log_from_being_shown(pieces):
    line = "".join(pieces)
    for made in (line_to_html(line), plain(line)):
        made.encode()  # as an answer is
        assert not {letter for letter in made if ord(letter) < 32} - {"\t", "\n"}
        assert "\u202e" not in made and "\x9b" not in made


@pytest.mark.django_db
def test_a_hostile_log_opens_on_every_page_that_shows_it(settings, tmp_path):
    settings.DEX_HOME = tmp_path
    run = Run.objects.create(
        flow=sample_flow("Daily shop"), flow_name="Daily shop", trigger=Trigger.TEST, state="running"
    )
    task = TaskRun.objects.create(
        run=run, kind="script", unique_id="s", identifier="bad\nname", state="running", owner="w"
    )
    Attempt.objects.create(task_run=task, fence=1, owner="w", started_at=timezone.now(), log_path=f"{run.pk}/1.log")
    path = tmp_path / "logs" / str(run.pk) / "1.log"
    path.parent.mkdir(parents=True)
    hostile = "\x1b[" + "7" * 5000 + "m needle \u202eevil\u2066\x85 \x1b[38;5mX\n"
    path.write_bytes(hostile.encode() + b"\xff\xfe \xed\xa0\x80 \x9b31m\n" + b"\x1b[" * 20_000 + b"\n")
    ada = Person("ada", "everything")
    log = f"/runs/{run.pk}/tasks/{task.pk}/log/1/"
    for address in (
        *(log, f"{log}?q=needle", f"{log}tail/?from=0&line=1", f"/runs/{run.pk}/script-test/"),
        *(f"/runs/{run.pk}/tasks/{task.pk}/", f"/runs/{run.pk}/?task={task.pk}"),
    ):
        answer = ada.client.get(address, follow=True)
        assert answer.status_code == 200, address
        assert "\u202e" not in answer.content.decode(), address
    download = ada.client.get(f"{log}text/")
    assert download.status_code == 200 and b"".join(download.streaming_content).startswith(b"\x1b[")
    assert "U+202E" in ada.open(log).html


# --- one notion of a line ------------------------------------------------------------------------------------------
STATES = [f"{n / 10:5.1f} % {'=' * 60} of all the rows" for n in range(1001)]
BAR = "\r".join(STATES)  # more than a page looks at of one line


@pytest.fixture
def drawn(attempt):
    """A log that was written before dex kept last states alone: a bar, and a line after it."""
    path = store.path_of(attempt.log_path)
    path.write_bytes(f"begins\r\n{BAR}\r\nends\n".encode())
    return attempt


def test_a_finished_bar_is_shown_found_and_downloaded_in_its_last_state(drawn):
    assert len(BAR) > reading.LONGEST
    ann = Person("ann", "everything")
    page = ann.open(address(drawn))
    assert STATES[-1] in page.html and "38.1 %" not in page.html
    assert [line.text for line in reading.window(drawn.log_path).lines] == ["begins", STATES[-1], "ends"]
    assert [hit.number for hit in reading.search(drawn.log_path, "100.0 %").hits] == [2]
    assert reading.search(drawn.log_path, "38.1 %").hits == []
    download = b"".join(ann.client.get(address(drawn, "text/")).streaming_content)
    assert download.decode() == f"begins\n{STATES[-1]}\nends\n"
    assert store.read(drawn.log_path).text == download.decode()


def test_the_end_of_the_log_beside_an_error_has_one_line_for_a_bar(attempt):
    run = attempt.task_run.run
    path = store.path_of(attempt.log_path)
    path.write_bytes(b"begins\n" + b"\r".join(b"%d %% of it" % n for n in range(101)) + b"\nends\n")
    attempt.task_run.kind = "script"
    attempt.task_run.save()
    page = Person("ann", "everything").open(f"/runs/{run.pk}/?task={attempt.task_run_id}")
    shown = page.html.partition('aria-label="End of the log">')[2].partition("</pre>")[0]
    assert shown == "begins\n100 % of it\nends\n"


def test_a_line_without_its_newline_yet_is_on_the_page_and_in_the_tail_and_is_updated_there(attempt):
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=None)
    TaskRun.objects.filter(pk=attempt.task_run_id).update(state="running", owner="w")
    ann = Person("ann", "everything")
    path = f"{attempt.task_run.run_id}/{attempt.task_run_id}.2.log"
    Attempt.objects.filter(pk=attempt.pk).update(log_path=path)
    writer = store.LogWriter(path, Redactor([]))
    writer.append(b"begins\n\r10 %")
    page = ann.open(address(attempt))
    assert '<li id="L2" data-open>' in page.html and "10 %" in page.html
    assert 'data-from="7" data-line="2"' in page.html and "Later lines" not in page.html
    writer.append(b"\r20 %")
    answer = ann.client.get(address(attempt, "tail/?from=7&line=2")).json()
    assert "20 %" in answer["open"] and not answer["html"].strip()
    assert (answer["from"], answer["line"], answer["over"]) == (7, 2, False)
    writer.append(b"\r30 %\nnext")
    answer = ann.client.get(address(attempt, "tail/?from=7&line=2")).json()
    assert "30 %" in answer["html"] and "20 %" not in answer["html"] and "next" in answer["open"]
    assert (answer["from"], answer["line"]) == (12, 3)
    download = b"".join(ann.client.get(address(attempt, "text/")).streaming_content)
    assert download == b"begins\n30 %\nnext"
    writer.close()


def test_search_looks_at_the_whole_of_a_long_line_and_the_page_says_how_much_is_missing(log_file):
    log_file.write_text("x" * 100_000 + "needle\nshort\n")
    (hit,) = reading.search("1/1.1.log", "Needle").hits
    assert hit.number == 1 and hit.beyond == 100_006 - reading.LONGEST
    assert "more than " in line_to_html(hit.text, hit.beyond)
