// Tables with `data-filters` sort by their headers, are searched, and are filtered by what each row's `data-facets`
// says (texts, in the order of the filters); long ones are paged. All text is set as text, never as markup.
"use strict";
{
  const PAGE = 50; // rows at once
  const FEW = 10; // up to here a table needs no search
  const NUMBER = /^[-+\u2212]?\d[\d,]*\.?\d*(e[-+]?\d+)?(?![\w.-])/i;
  const ABSENT = ["", "\u2013"];

  // The number that a cell begins with: `0.610 ± 0.014`, `5,781`, `31.0 s`; NaN where it begins with none.
  const numberOf = (text) => {
    const found = NUMBER.exec(text.trim());
    return found ? Number(found[0].replace(/,/g, "").replace("\u2212", "-")) : NaN;
  };
  // Absent numbers stay at the end in both directions.
  const compared = (sign) => (a, b) => (isNaN(a) ? 1 : 0) - (isNaN(b) ? 1 : 0) || sign * (a - b) || 0;
  DataTable.type("leading-number", {
    order: { pre: (html) => numberOf(DataTable.util.stripHtml(String(html))), asc: compared(1), desc: compared(-1) },
  });
  const isNumeric = (cells) => {
    const told = cells.map((cell) => cell.textContent.trim()).filter((text) => !ABSENT.includes(text));
    return told.length > 0 && told.every((text) => !isNaN(numberOf(text)));
  };

  const { compare } = new Intl.Collator("en", { numeric: true });
  const sorted = (values) => [...new Set(values)].sort((a, b) => a - b || compare(a, b));

  let fields = 0;
  const field = (text, control) => {
    const [made, label] = [document.createElement("div"), document.createElement("label")];
    control.id = label.htmlFor = `filter-${++fields}`;
    label.textContent = text;
    made.append(label, control);
    return made;
  };
  const select = (values) => {
    const made = document.createElement("select");
    made.append(new Option("any", ""), ...values.map((value) => new Option(value, value)));
    return made;
  };

  const enhance = (table) => {
    const region = table.parentElement;
    const title = region.getAttribute("aria-label");
    const rows = [...table.tBodies[0].rows];
    const facets = rows.map((row) => JSON.parse(row.dataset.facets));
    const columns = [...table.tHead.rows[0].cells].map((_, i) =>
      isNumeric(rows.map((row) => row.cells[i])) ? { type: "leading-number" } : {});
    const long = rows.length > PAGE;
    const api = new DataTable(table, {
      autoWidth: false,
      columns,
      order: [],
      paging: long,
      pageLength: PAGE,
      layout: { topStart: null, topEnd: null, bottomStart: rows.length > FEW ? "info" : null, bottomEnd: long ? "paging" : null },
      language: {
        info: "_START_ to _END_ of _TOTAL_ rows", infoEmpty: "no rows", infoFiltered: "(of _MAX_ in all)",
        zeroRecords: "No row matches.", aria: { orderable: ": sort", orderableReverse: ": sort in reverse" },
      },
    });

    const controls = document.createElement("div");
    controls.className = "filters";
    controls.setAttribute("role", "group");
    controls.setAttribute("aria-label", `Filter: ${title}`);
    const chosen = JSON.parse(table.dataset.filters).map((name, i) => {
      const values = sorted(facets.map((row) => row[i]));
      const choice = select(values);
      choice.addEventListener("change", () => api.draw());
      if (values.length > 1) controls.append(field(name, choice));
      return choice;
    });
    api.search.fixed("facets", (text, row, index) => chosen.every((c, i) => !c.value || c.value === facets[index][i]));
    if (rows.length > FEW) {
      const box = document.createElement("input");
      box.type = "search";
      box.addEventListener("input", () => api.search(box.value).draw());
      controls.append(field("search", box));
    }
    if (controls.childElementCount) region.before(controls);

    // What stands below the table stays in view while the table scrolls sideways.
    const below = document.createElement("div");
    below.className = "below";
    region.querySelectorAll(".dt-info, .dt-paging").forEach((part) => below.append(part));
    if (below.childElementCount) region.after(below);
    if (long) { // paper has no pages to turn
      addEventListener("beforeprint", () => api.page.len(-1).draw());
      addEventListener("afterprint", () => api.page.len(PAGE).draw());
    }
  };

  document.querySelectorAll("table[data-filters]").forEach(enhance);
}
