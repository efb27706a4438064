"""The table of what was measured, beside the goals, and the page that shows it."""

import pathlib
import platform
import re
import subprocess
import time

import chart

BEGIN, END = "<!-- begin of what benches/check/run writes -->", "<!-- end of what benches/check/run writes -->"


class Report:
    def __init__(self, folder, head):
        self.folder = pathlib.Path(folder)
        self.head, self.rows, self.charts, self.notes = head, [], [], []
        self.missed = 0

    def at_least(self, name, value, goal, unit=""):
        self.add(name, value, f">= {goal}", value >= goal, unit)

    def at_most(self, name, value, goal, unit=""):
        self.add(name, value, f"<= {goal:,.0f}" if goal >= 100 else f"<= {goal:.3g}", value <= goal, unit)

    def add(self, name, value, goal, is_met, unit):
        unit = f" {unit}" if unit else ""
        digits = 0 if value >= 1000 else 1 if value >= 10 else 2
        row = f"| {name} | {value:,.{digits}f}{unit} | {goal}{unit} | {'yes' if is_met else '**no**'} |"
        self.missed += not is_met
        self.rows.append(row)
        print(row, flush=True)

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def chart(self, name, title, bars):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.svg").write_text(chart.draw(title, bars), encoding="utf-8")
        self.charts.append(f"![{title}: {chart.describe(bars)}]({name}.svg)")

    def text(self):
        table = ["| measure | value | goal | met |", "| --- | --- | --- | --- |", *self.rows]
        notes = [f"{note}\n" for note in self.notes]
        told = f"{len(self.rows) - self.missed} of {len(self.rows)} goals are met.\n"
        return "\n".join([self.head, "", *table, "", told, *notes, *(f"{it}\n" for it in self.charts)]).rstrip()

    def write(self):
        """Puts the text into the page of the folder, between its marks, or into a page of its own."""
        page = self.folder / "README.md"
        self.folder.mkdir(parents=True, exist_ok=True)
        old = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
        between = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
        assert between.search(old), f"{page} has no place for the results"
        page.write_text(between.sub(lambda _: f"{BEGIN}\n{self.text()}\n{END}", old), encoding="utf-8")
        return page


def machine(root):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    load = pathlib.Path("/proc/loadavg").read_text(encoding="utf-8").split()[0]
    return f"{cpu[1] if cpu else platform.machine()}, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}, commit {commit}, load before {load}"
