// A still figure leads to its picture alone, to be enlarged or saved.
document.addEventListener("DOMContentLoaded", () => {
  for (const image of document.querySelectorAll("article figure img")) {
    if (image.closest("a")) continue;
    const link = document.createElement("a");
    link.href = image.src;
    link.className = "enlarge";
    link.title = "Open this picture alone, to enlarge or save it";
    image.before(link);
    link.append(image);
  }
});
