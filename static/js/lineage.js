// The lineage on the page of a model.
import { mountGraph } from "../vendor/graph.js";

const element = document.getElementById("lineage");
if (element) mountGraph(element);
