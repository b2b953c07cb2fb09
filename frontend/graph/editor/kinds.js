// The types of node: what they are called and which icon stands for them.
export const KINDS = {
  connection: { name: "Connection", icon: "plug", says: "Loads tables from a source into the warehouse." },
  transformation: { name: "Transformation", icon: "boxes", says: "Runs the dbt models that your selectors choose." },
  script: { name: "Custom Script", icon: "square-terminal", says: "Runs a Python package of the project." },
};

export const kindOf = (node) => KINDS[node.kind] ?? KINDS.transformation;
