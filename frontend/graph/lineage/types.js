// The icons of dbt's types of resource.
const ICONS = {
  source: "database",
  seed: "table",
  model: "boxes",
  snapshot: "history",
  test: "circle-check",
  unit_test: "circle-check",
  analysis: "search",
  exposure: "external-link",
  metric: "activity",
};

export const typeIcon = (type) => ICONS[type] ?? "circle";
