// Long tables can be narrowed to the rows that hold some words.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.filterable")) {
    const rows = [...table.tBodies[0].rows];
    const text = rows.map((row) => row.textContent.toLowerCase());
    const box = document.createElement("label");
    box.className = "table-filter";
    box.append("Show rows with ");
    const words = Object.assign(document.createElement("input"), { type: "search" });
    const count = document.createElement("output");
    const narrow = () => {
      const wanted = words.value.toLowerCase().split(/\s+/);
      rows.forEach((row, i) => { row.hidden = !wanted.every((word) => text[i].includes(word)); });
      count.textContent = ` ${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    };
    words.addEventListener("input", narrow);
    box.append(words, count);
    (table.closest(".pst-scrollable-table-container") ?? table).before(box);
    narrow();
  }
});
