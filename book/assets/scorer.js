// What a search puts first: the chapters, then the glossary and the other pages, then the library.
const places = [[/^notebooks\//, 40], [/^(glossary|claims|index|summary)$/, 30], [/^(api|provenance)/, -20]];
var Scorer = {
  score: ([page, , , , score]) => score + (places.find(([name]) => name.test(page))?.[1] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
