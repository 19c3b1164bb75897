"""``make screenshots``: a class at work on a site of its own, photographed into docs/screenshots.

The site lives in ``var/screenshots`` on a port of its own and is removed afterwards. The student's runs are real; the
other teams' earlier scores are rows, ranked by the same service that ranks real ones.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
VAR = Path(os.environ.get("SEODANG_VAR", str(ROOT / "var"))).resolve() / "screenshots"
os.environ["SEODANG_VAR"] = str(VAR)
os.environ["SEODANG_PORT"] = os.environ.get("SEODANG_SCREENSHOTS_PORT", "8490")
os.environ.pop("DATABASE_URL", None)

from deploy import demo  # noqa: E402  (it reads the environment when it is imported)

OUT = ROOT / "docs" / "screenshots"
BYTES_MAX = 150_000  # each; a README is read on a phone too
LIVE_SECONDS_MAX = 120
# (team, person, scores by the hours before now at which they came)
TEAMS: list[tuple[str, str, dict[float, float]]] = [
    ("oak", "Jiwoo Han", {130.0: 0.9310, 76.0: 0.9663, 51.5: 0.9781, 2.1: 0.9889}),
    ("ginkgo", "Doyun Lim", {120.0: 0.9415, 99.0: 0.9510, 30.0: 0.9749, 6.5: 0.9834}),
    ("pine", "Seoyeon Kang", {118.0: 0.9120, 80.0: 0.9602, 45.0: 0.9776}),
    ("camellia", "Haeun Cho", {110.0: 0.9388, 28.0: 0.9721}),
    ("willow", "Yejun Baek", {96.0: 0.9415, 70.0: 0.9580, 22.0: 0.9694}),
    ("zelkova", "Nari Seo", {90.0: 0.9254, 20.0: 0.9694}),
    ("birch", "Tae Moon", {88.0: 0.9415, 40.0: 0.9533, 0.2: 0.9640}),
    ("persimmon", "Rina Oh", {84.0: 0.9207, 18.0: 0.9611}),
    ("bamboo", "Joon Shin", {77.0: 0.9415, 0.5: 0.9474}),
    ("juniper", "Mina Yoo", {72.0: 0.9415}),
    ("rowan", "Sun Ahn", {50.0: 0.8972}),
    ("hazel", "Bora Jang", {26.0: 0.8433}),
]
NAMES = {"student": "Minji Kim", "teammate": "Junho Lee", "teacher": "Sora Park", "ta": "Jiho Yun"}
SLOW = "--epochs 900"


def main() -> int:
    from playwright.sync_api import sync_playwright

    forget()
    try:
        if demo.start(with_class=True, detach=True):
            return 1
        run = make_class()
        OUT.mkdir(parents=True, exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or "/usr/bin/chromium",
                args=["--no-sandbox", "--disable-background-networking"],
            )
            shoot(browser, run)
            browser.close()
    except demo.DemoError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        demo.stop_all()
        forget()
    large = [path.name for path in OUT.glob("*.png") if path.stat().st_size > BYTES_MAX]
    if large:
        print(f"Larger than {BYTES_MAX} bytes: {', '.join(large)}", file=sys.stderr)
    return 1 if large else 0


def forget() -> None:
    """A class begins anew: this site's folders go, its database with them."""
    from hub import database

    for folder in (VAR, database.home(VAR)):
        shutil.rmtree(folder, ignore_errors=True)


def make_class() -> str:
    """Teams with scores, then the student's better run on the board, two runs going and two waiting.

    Returns the address of the run that goes.
    """
    from courses.assignments.models import Assignment
    from courses.roster.models import User
    from courses.roster.services import add_member
    from courses.submissions.models import Run
    from courses.submissions.services import start_run
    from courses.teams.services import create

    demo.seed()  # sets Django up; the cast is there
    digits = Assignment.objects.select_related("course").get(slug="digits")
    teacher = User.objects.get(username="teacher")
    for username, name in NAMES.items():
        User.objects.filter(username=username).update(first_name=name.split()[0], last_name=name.split()[1])
    pushed = Run.objects.get(team__name="maple")
    teams = []
    for team_name, name, _scores in TEAMS:
        first, last = name.split()
        user = User.objects.create_user(first.lower(), first_name=first, last_name=last)
        add_member(teacher, digits.course, user, "student")
        teams.append(create(user, digits.course, team_name, ""))
    add_scores(pushed, teams)
    demo.say("The student pushes the better solution")
    folder = Path(shutil.copytree(ROOT / "examples/digits/better", VAR / "better"))
    demo.cli("student", "run", "-d", "digits", "--submit", "-m", "RBF features, averaged", folder=folder)
    slow(folder / "train.py")
    (folder / ".seodang").unlink(missing_ok=True)
    archive = Path(shutil.make_archive(str(VAR / "slow"), "zip", folder))
    for person, memo in (("student", "more landmarks"), ("doyun", "gamma 0.4"), ("seoyeon", "long run"),
                         ("teammate", "gamma 0.2")):  # fmt: skip
        owner = User.objects.get(username=person)
        start_run(owner, digits, archive, args=SLOW, memo=memo)
        await_one(lambda: not Run.objects.filter(state="preflight").exists(), "A preflight hangs.")
    run = await_one(lambda: Run.objects.filter(team__name="maple", state="running").first(), "No run started.")
    await_one(lambda: Run.objects.filter(team__name="ginkgo", state="running").first(), "No second run started.")
    await_one(lambda: Run.objects.filter(state="queued").count() == 2, "Nothing waits.")
    time.sleep(25)  # long enough for curves that one can see
    return f"/runs/{run.pk}/"


def slow(script: Path) -> None:
    """The same training with a pause after each epoch, so that it can be watched."""
    text = script.read_text()
    marked = text.replace("import os\n", "import os\nimport time\n", 1)
    marked = marked.replace("        if valid_acc > best:", "        time.sleep(0.6)\n        if valid_acc > best:", 1)
    if marked.count("time") == text.count("time"):
        raise demo.DemoError("examples/digits/better/train.py changed: deploy/screenshots.py finds no epoch in it")
    script.write_text(marked)


def add_scores(like: Any, teams: list[Any]) -> None:
    """The teams' past scores in the order in which they came, each ranked as a real one is."""
    from django.utils import timezone

    from courses.leaderboards.models import Standing
    from courses.leaderboards.services import refresh
    from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission

    now = timezone.now()
    past = [(hours, team, score) for team, (_n, _p, scores) in zip(teams, TEAMS) for hours, score in scores.items()]
    for hours, team, score in sorted(past, key=lambda one: one[0], reverse=True):
        at = now - dt.timedelta(hours=hours)
        number = Run.objects.filter(team=team).count() + 1
        run = Run.objects.create(
            assignment=like.assignment, version=like.version, team=team, owner=team.members.get().user, number=number,
            state="succeeded", entry=like.entry, code_sha256=like.code_sha256, code_files=like.code_files,
            code_bytes=like.code_bytes, sentence="Finished.", ended_at=at,
        )  # fmt: skip
        kept = like.checkpoints.get(name="best")
        best = Checkpoint.objects.create(run=run, name="best", sha256=kept.sha256, size=kept.size)
        scores = {"macro_f1": score, "accuracy": score + 0.0004}
        sent = Submission.objects.create(run=run, checkpoint=best, owner=run.owner, state="scored", scores=scores)
        Run.objects.filter(pk=run.pk).update(created_at=at)
        Submission.objects.filter(pk=sent.pk).update(created_at=at)
        event = ScoreEvent.objects.create(
            submission=sent, assignment=like.assignment, team=team, scores=scores, primary=score
        )
        ScoreEvent.objects.filter(pk=event.pk).update(at=at)
        moved = Standing.objects.filter(board__assignment=like.assignment).exclude(moved_at=None)
        before = dict(moved.values_list("team", "moved_at"))
        refresh(like.assignment)
        for standing in Standing.objects.filter(board__assignment=like.assignment):
            if standing.moved_at != before.get(standing.team_id):
                Standing.objects.filter(pk=standing.pk).update(moved_at=at)


def await_one(look: Callable[[], Any], problem: str) -> Any:
    end = time.monotonic() + LIVE_SECONDS_MAX
    while not (found := look()):
        if time.monotonic() > end:
            raise demo.DemoError(problem)
        time.sleep(0.5)
    return found


def shoot(browser: Any, run: str) -> None:
    """Each page as its person sees it."""
    board = "/c/ml/a/digits/board/"
    student = signed_in(browser, "student")
    take(student, board, "board")
    take(student, run, "run", wait="#charts canvas")
    take(student, "/c/ml/", "home")
    take(student, "/c/ml/a/digits/", "assignment")
    take(signed_in(browser, "student", color_scheme="dark"), board, "board-dark")
    take(signed_in(browser, "student", color_scheme="dark"), run, "run-dark", wait="#charts canvas")
    korean = signed_in(browser, "student", locale="ko-KR")
    take(korean, board, "board-ko")
    take(korean, "/c/ml/", "home-ko")
    phone = signed_in(browser, "student", viewport={"width": 390, "height": 844}, device_scale_factor=1)
    take(phone, board, "board-phone")
    take(phone, run, "run-phone", wait="#charts canvas")
    take(signed_in(browser, "ta"), "/c/ml/gpus/", "gpus")


def signed_in(browser: Any, person: str, **options: Any) -> Any:
    password = json.loads((VAR / "demo.json").read_text())[person]["password"]
    options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
    page = browser.new_context(base_url=demo.ADDRESS, **options).new_page()
    page.goto("/accounts/login/")
    page.fill("[name=login]", person)
    page.fill("[name=password]", password)
    page.click("main button")
    page.wait_for_url("**/c/**")
    return page


def take(page: Any, path: str, name: str, wait: str = "h1", full: bool = True) -> None:
    page.goto(path)
    page.locator(wait).first.wait_for()
    if page.locator("#link").count():
        page.locator("#link[data-link=up]").wait_for()
    page.wait_for_timeout(400)  # a curve's last frame
    taken = page.screenshot(full_page=full)
    # Flat colours: a palette looks the same and is a third of the size.
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE).save(
        OUT / f"{name}.png", optimize=True
    )
    demo.say(f"  docs/screenshots/{name}.png")


if __name__ == "__main__":
    raise SystemExit(main())
