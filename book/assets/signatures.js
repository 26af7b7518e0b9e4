// Sphinx sets a long signature as a list of meanings without terms; to a screen reader it is a list.
document.addEventListener("DOMContentLoaded", () => {
  for (const list of document.querySelectorAll("dt.sig > dl")) {
    list.setAttribute("role", "list");
    for (const item of list.children) item.setAttribute("role", "listitem");
  }
});
