// A person whose reference is muted or bypassed is absent: Apply FlashFace then hands its MODEL on.
//
// ComfyUI leaves such a node out of the prompt, and Apply FlashFace would lack a required input.
import { app } from "../../scripts/app.js";

const APPLY = "FlashFaceApply";
const SUBGRAPH_INPUTS = -10; // the origin of links from a subgraph's own inputs

// The nodes on the way to a prompt's entry: those in subgraphs have the numbers of all, "12:3".
function pathOf(id) {
  let graph = app.graph?.rootGraph ?? app.graph;
  return String(id).split(":").map((part) => {
    const node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part);
    graph = node?.subgraph;
    return node;
  });
}

// Whether something is linked to a slot, outside of the subgraphs that hand it on too. What is
// linked and yet not in the prompt does not run, however many reroutes lie between.
function linked(path, slot) {
  const node = path.at(-1);
  const id = node?.inputs?.[slot]?.link; // getInputLink of a subgraph's node means something else
  if (id == null) return false;
  const link = node.graph.links.get?.(id) ?? node.graph.links[id];
  return link?.origin_id !== SUBGRAPH_INPUTS || linked(path.slice(0, -1), link.origin_slot);
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
    const path = pathOf(id);
    if (linked(path, path.at(-1)?.findInputSlot("reference"))) passOver(prompt, id, inputs.model);
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
