/* A volume in 3-D by NiiVue, which is loaded when it is asked for. */
import { bytes } from "./api.js";
import { element } from "./text.js";

const LIBRARY = "/static/vendor/niivue-0.69.0.umd.js";
let loading = null;

function library() {
  const held = document.getElementById("niivue");  // a page without a server holds its text
  if (held && !loading) {
    document.head.append(element("script", { textContent: held.textContent }));
    loading = Promise.resolve(window.niivue);
  }
  loading ??= new Promise((done, failed) => {
    document.head.append(element("script", { src: LIBRARY, onload: () => done(window.niivue), onerror: () => failed(new Error("NiiVue cannot be loaded")) }));
  });
  return loading;
}

export class Rendering {
  constructor(pane, state, nifti, failed) {
    Object.assign(this, { pane, state, nifti, failed, kind: "shaded", shown: null, viewer: null });
    this.canvas = element("canvas", { testid: "render-3d", tabIndex: 0, "aria-label": "volume in 3-D; drag turns it" });
    this.canvas.hidden = true;
    pane.stage.append(this.canvas);
  }

  visible(yes) {
    this.canvas.hidden = !yes;
    this.pane.canvas.hidden = yes;
    if (!yes) this.pane.note.textContent = "";
  }

  async show(number) {
    if (this.shown === number) return;
    this.shown = number;
    this.canvas.dataset.ready = "no";
    try {
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("This browser has no WebGL2, which the 3-D picture needs.");
      this.pane.note.textContent = "loading the volume ...";
      const { Niivue, NVImage } = await library();
      if (!this.viewer) {
        this.viewer = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: false, isOrientCube: false, loadingText: "", dragAndDropEnabled: false, logLevel: "silent" });
        await this.viewer.attachToCanvas(this.canvas);
        this.viewer.setSliceType(this.viewer.sliceTypeRender);
      }
      const buffer = await bytes("nifti", { volume: number });
      if (this.shown !== number) return;
      const [low, high] = this.state.window;
      for (const old of [...this.viewer.volumes]) this.viewer.removeVolume(old);
      this.viewer.addVolume(await NVImage.new(buffer, "volume.nii", "gray", 1, null, low, high));
      this.pane.note.textContent = "";
      await this.style(this.kind);
      this.restyle();
      this.canvas.dataset.ready = "yes";
    } catch (error) {
      this.shown = null;
      this.pane.note.textContent = error.message;
      this.canvas.dataset.ready = "failed";
    }
  }

  async style(kind) {
    this.kind = kind;
    if (this.viewer?.volumes.length) await this.viewer.setVolumeRenderIllumination(kind === "shaded" ? .6 : 0);
  }

  restyle() {
    const volume = this.viewer?.volumes[0];
    if (!volume || this.canvas.hidden) return;
    const [low, high] = this.state.window, from = Number(document.getElementById("render-from").value);
    [volume.cal_min, volume.cal_max] = [low + from * (high - low), high];
    this.viewer.updateGLVolume();
  }
}
