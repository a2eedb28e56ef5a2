// Our types of links have colours of their own, in both node designs and under every theme.
import { app } from "../../scripts/app.js";

const COLORS = {
  FLASHFACE_MODEL: "#F06292",
  FLASHFACE_REFERENCE: "#4DD0A1",
  FLASHFACE_SCHEDULE: "#FFB04A",
  FLASHFACE_DETECTOR: "#9CCC65",
  FACE2DIFFUSION_MODEL: "#BA68C8",
  FACE2DIFFUSION_IDENTITY: "#4DB6AC",
};

// A theme empties the colours of all types that it does not know.
function paint() {
  Object.assign(app.canvas?.default_connection_color_byType ?? {}, COLORS);
  Object.assign(app.canvas?.constructor?.link_type_colors ?? {}, COLORS);
  app.canvas?.setDirty(true, true);
}

// Nodes 2.0 takes them from style sheets; what a theme sets on the page's root would win.
function addStyle() {
  const style = document.createElement("style");
  const rules = Object.entries(COLORS).map(([type, color]) => `--color-datatype-${type}: ${color};`);
  style.textContent = `:root, body { ${rules.join(" ")} }`;
  document.head.append(style);
}

app.registerExtension({
  name: "FlashFace.Colors",
  setup() {
    addStyle();
    paint();
    const repaint = () => setTimeout(paint, 100);
    app.ui?.settings?.addEventListener?.("Comfy.ColorPalette.change", repaint);
  },
  afterConfigureGraph: paint,
});
