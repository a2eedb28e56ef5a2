// A person whose reference is muted or bypassed is absent: Apply FlashFace then hands its MODEL on.
//
// ComfyUI leaves such a node out of the prompt, and Apply FlashFace would lack a required input.
import { app } from "../../scripts/app.js";
import { muted } from "./nodes.js";

const APPLY = "FlashFaceApply";

// The node of a prompt's entry; those in subgraphs have the numbers on the way to them: "12:3".
function nodeOf(id) {
  let graph = app.graph?.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part);
    graph = node?.subgraph;
  }
  return node;
}

// Take an entry out of a prompt, and let everybody that asked for its output have `instead`.
function passOver(prompt, id, instead) {
  delete prompt[id];
  for (const { inputs } of Object.values(prompt)) {
    for (const [name, value] of Object.entries(inputs)) {
      if (Array.isArray(value) && String(value[0]) === id && value[1] === 0) inputs[name] = instead;
    }
  }
}

function leaveOut(prompt) {
  for (const [id, { class_type: kind, inputs }] of Object.entries(prompt)) {
    if (kind !== APPLY || inputs.reference || !inputs.model) continue;
    const node = nodeOf(id);
    if (node && muted(node, "reference")) passOver(prompt, id, inputs.model);
  }
}

app.registerExtension({
  name: "FlashFace.Absent",
  setup() {
    const before = app.graphToPrompt;
    app.graphToPrompt = async function (...given) {
      const made = await before.apply(this, given);
      if (made?.output) leaveOut(made.output);
      return made;
    };
  },
});
