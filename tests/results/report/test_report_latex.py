r"""Tables as LaTeX: rules, what stands for HTML, and that no character of a name is taken for a command."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import Markup

from mmbench.results.records import RunRecord
from mmbench.results.report.contents import TableItem
from mmbench.results.report.tables.latex import PAGE, latex
from mmbench.results.report.tables.lines import subscripted, write_csv


def table(*rows: tuple[object, ...], head: tuple[str, ...] = ("model", "value")) -> TableItem:
    return TableItem("digits-table", "Scores", head, rows, ("Means over 3 seeds.",), number="Table 3")


def test_a_small_table_whole() -> None:
    item = table((subscripted("MEME", "svhn-only"), Markup("<strong>0.551 ± 0.008</strong> <small>3 of 3</small>")))
    assert (
        latex(item)
        == r"""% \usepackage{booktabs}
\begin{table}
\centering
\caption{Scores. (Table 3 of the MEME paper.) Means over 3 seeds.}
\label{tab:digits-table}
\begin{tabular}{ll}
\toprule
model & value \\
\midrule
MEME$_{\mathrm{SVHN}}$ & \textbf{0.551 $\pm$ 0.008} {\footnotesize 3 of 3} \\
\bottomrule
\end{tabular}
\end{table}
"""
    )


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    assert r"\begin{tabular}{lr}" in latex(table(("a", "1.5"), ("b", "\N{EN DASH}")))


def test_what_is_longer_than_a_page_is_a_longtable() -> None:
    text = latex(table(*[("a", "1")] * (PAGE + 1)))
    assert r"\begin{longtable}{lr}" in text
    assert text.count(r"\end{") == 1
    assert r"\endhead" in text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a_b", r"a\_b"),
        ("50 % & more", r"50 \% \& more"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("$x^2$ ~#", r"\$x\textasciicircum{}2\$ \textasciitilde{}\#"),
        ("<script>alert(1)</script>", r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}"),
        ("a → b", r"a $\rightarrow$ b"),
    ],
)
def test_no_character_of_a_name_is_a_command(name: str, written: str) -> None:
    assert f"\n{written} & 1 \\\\\n" in latex(table((name, "1")))
    assert f"\n{written}$_{{\\mathrm{{SPLIT}}}}$ & 1 \\\\\n" in latex(table((subscripted(name, "split"), "1")))


def test_every_table_of_a_page_has_its_file_and_braces_match(page: Path) -> None:
    html = (page / "index.html").read_text(encoding="utf-8")
    files = sorted(page.glob("tables/*.tex"))
    assert files
    for file in files:
        assert f'href="tables/{file.name}"' in html
        text = re.sub(r"\\[{}]", "", file.read_text(encoding="utf-8"))
        assert text.count("{") == text.count("}"), file.name
        rows = [line for line in text.splitlines() if line.endswith(r" \\") and " & " in line]
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in rows}) <= 1, file.name


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_name_is_no_formula_in_a_csv_and_numbers_stay_numbers(tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path, "t", [{"model": name, "value": -0.5, "none": None, "nan": float("nan")}])
    with (tmp_path / path).open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [{"model": "'" + name, "value": "-0.5", "none": "", "nan": ""}]


def test_the_file_of_a_metric_from_outside_stays_in_its_folder(tmp_path: Path, make: Callable[..., RunRecord]) -> None:
    path = write_csv(tmp_path, "digits-other-../../x", [{"a": 1}])
    assert (tmp_path / path).resolve().parent == tmp_path / "tables"
