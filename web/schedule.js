// FlashFace Schedule draws itself at once, and a preset fills in its numbers, in every node design.
//
// The presets' numbers come from the node's definition. Only the node's own widgets are written, and
// a run takes a preset's numbers from the core, so workflows saved with others give what they gave.
import { app } from "../../scripts/app.js";
import { after, feeding, hidePreview, inputNode, say, setValue, shownBy, valueOf, watch, widgetOf } from "./nodes.js";
import { curveOf, evaluations, guidanceAt, strengthAt } from "./schedule_numbers.js";

const SCHEDULE = "FlashFaceSchedule";
const NUMBERS = ["strength", "reference_guidance", "launch_percent", "strength_before_launch"];
const CURVES = { strengthCurve: "strength_curve", guidanceCurve: "guidance_curve" };
const CUSTOM = "custom";
const STEPS = 30;
const HEIGHT = 190;
const COLORS = {
  back: "#202225", frame: "#5c6066", text: "#e8e8e8", faint: "#9a9ea4", grid: "#33363b",
  strength: "#5aa9ff", guidance: "#ffb04a", launched: "#26303a",
};
let presets = {};

const presetOf = (node) => presets[valueOf(node, "preset")];

// The front end rounds a number to its step.
const differs = (node, preset, name) => Math.abs(valueOf(node, name) - preset[name]) > 6e-4;

function fill(node) {
  const preset = presetOf(node);
  if (!preset) return;
  node.fillsPreset = true;
  for (const name of NUMBERS) if (differs(node, preset, name)) setValue(node, name, preset[name]);
  node.fillsPreset = false;
}

function toCustom(node) {
  const preset = presetOf(node);
  if (!preset || node.fillsPreset) return;
  // A Primitive writes its number here at every run; a preset has always ruled over it.
  const own = NUMBERS.filter((name) => node.inputs?.[node.findInputSlot(name)]?.link == null);
  if (own.some((name) => differs(node, preset, name))) setValue(node, "preset", CUSTOM);
}

// The schedule as far as it is known here; null where a number or a curve comes from a run.
function scheduleOf(node) {
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, valueOf(node, name)]));
  const schedule = presetOf(node) ?? numbers;
  if (schedule === numbers && NUMBERS.some((name) => feeding(node, name))) return null;
  const curves = {};
  for (const [key, name] of Object.entries(CURVES)) {
    const editor = feeding(node, name);
    if (!editor) continue;
    const curve = editor.comfyClass === "CurveEditor" && valueOf(editor, "curve");
    if (!curve?.points?.length) return null;
    curves[key] = curveOf(curve);
  }
  return { ...schedule, ...curves };
}

function captions(node, schedule) {
  const preset = presetOf(node);
  const steps = preset?.steps ?? STEPS;
  const total = evaluations(schedule, steps);
  const cost = say(
    `${steps} steps = ${total} UNet evaluations (${2 * steps} with plain cfg)`,
    `${steps} 步 = ${total} 次 UNet 计算（普通 cfg 为 ${2 * steps} 次）`,
  );
  if (!preset) return [cost];
  const own = say(
    `goes with cfg ${preset.cfg} and ${steps} steps: set them in the sampler`,
    `配合 cfg ${preset.cfg}、${steps} 步：请在采样器里设置`,
  );
  return [cost, own];
}

function draw(node, canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.max(1, width * ratio);
  canvas.height = Math.max(1, height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = COLORS.back;
  pen.fillRect(0, 0, width, height);
  pen.font = "12px sans-serif";
  pen.textAlign = "center";
  const schedule = scheduleOf(node);
  if (!schedule) return drawUnknown(node, canvas, pen);
  const lines = captions(node, schedule);
  canvas.setAttribute("aria-label", lines.join("; "));
  pen.fillStyle = COLORS.text;
  lines.forEach((line, i) => pen.fillText(line, width / 2, height - 8 - 16 * (lines.length - 1 - i), width - 8));
  const plot = { left: 34, top: 24, right: width - 10, bottom: height - 26 - 16 * lines.length };
  drawPlot(pen, schedule, plot);
}

// What the last run drew, where this cannot know the curves.
function drawUnknown(node, canvas, pen) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const picture = shownBy(node, (node.scheduleResult ??= {}));
  if (picture) {
    const scale = Math.min(width / picture.naturalWidth, height / picture.naturalHeight);
    const [w, h] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
    return pen.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  }
  const hint = say("Numbers come from another node: drawn after a run.", "数值来自其他节点：运行后绘制。");
  canvas.setAttribute("aria-label", hint);
  pen.fillStyle = COLORS.faint;
  pen.fillText(hint, width / 2, height / 2, width - 8);
}

function drawPlot(pen, schedule, { left, top, right, bottom }) {
  const launch = schedule.launch_percent;
  const percents = Array.from({ length: 201 }, (_, i) => i / 200);
  const curves = {
    guidance: percents.map((p) => guidanceAt(schedule, p, p >= launch)),
    strength: percents.map((p) => strengthAt(schedule, p, p >= launch)),
  };
  const all = [...curves.guidance, ...curves.strength];
  const [low, high] = [Math.min(0, ...all), Math.ceil(Math.max(1, ...all) * 2.1) / 2];
  const x = (percent) => left + percent * (right - left);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  pen.fillStyle = COLORS.launched;
  pen.fillRect(x(launch), top, right - x(launch), bottom - top);
  pen.fillStyle = COLORS.faint;
  const step = Math.max(0.5, Math.ceil((high - low) / 2.5) / 2);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    line(pen, [[left, y(value)], [right, y(value)]], COLORS.grid, 1);
    pen.textAlign = "right";
    pen.fillText(`${value}`, left - 5, y(value) + 4);
  }
  pen.textAlign = "center";
  for (const percent of [0, 50, 100]) pen.fillText(`${percent} %`, x(percent / 100) - (percent === 100 ? 12 : 0), bottom + 14);
  pen.strokeStyle = COLORS.frame;
  pen.strokeRect(left, top, right - left, bottom - top);
  line(pen, [[x(launch), top], [x(launch), bottom]], COLORS.text, 1);
  for (const [name, values] of Object.entries(curves)) {
    line(pen, values.map((value, i) => [x(percents[i]), y(value)]), COLORS[name], 3);
  }
  drawLegend(pen, left);
}

function drawLegend(pen, left) {
  pen.textAlign = "left";
  for (const [name, text] of [
    ["strength", say("strength", "强度")], ["guidance", say("reference guidance", "参考引导")],
  ]) {
    line(pen, [[left, 12], [left + 14, 12]], COLORS[name], 3);
    pen.fillStyle = COLORS.text;
    pen.fillText(text, left + 19, 16);
    left += 34 + pen.measureText(text).width;
  }
}

function line(pen, points, color, width) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

// All that the drawing depends on, to notice that it has changed.
function state(node) {
  const curves = Object.values(CURVES).map((name) => valueOf(inputNode(node, name), "curve"));
  const sources = [...Object.values(CURVES), ...NUMBERS].map((name) => inputNode(node, name));
  const linked = sources.map((source) => [source?.id, source?.mode]);
  const numbers = ["preset", ...NUMBERS].map((name) => valueOf(node, name));
  return JSON.stringify([numbers, curves, linked, shownBy(node, (node.scheduleResult ??= {}))?.src]);
}

function addDrawing(node) {
  const canvas = document.createElement("canvas");
  canvas.dataset.testid = "flashface-schedule";
  canvas.setAttribute("role", "img");
  Object.assign(canvas.style, { width: "100%", height: "100%", display: "block" });
  const widget = node.addDOMWidget("drawing", "FLASHFACE_DRAWING", canvas, {
    serialize: false,
    hideInPanel: true, // the side panel would write its own width into the widget, for good
    getMinHeight: () => HEIGHT,
  });
  widget.serialize = false; // the numbers hold it
  const redraw = () => draw(node, canvas);
  after(widgetOf(node, "preset"), "callback", () => fill(node));
  for (const name of NUMBERS) after(widgetOf(node, name), "callback", () => toCustom(node));
  after(node, "onConfigure", () => fill(node));
  watch(node, state, redraw);
  hidePreview(node);
  new ResizeObserver(redraw).observe(canvas);
}

app.registerExtension({
  name: "FlashFace.Schedule",
  beforeRegisterNodeDef(_, definition) {
    if (definition.name === SCHEDULE) presets = definition.input.required.preset[1]?.presets ?? {};
  },
  nodeCreated(node) {
    if (node.comfyClass === SCHEDULE) addDrawing(node);
  },
});
