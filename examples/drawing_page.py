"""A page to draw digits on, read by the app of fastapi_app.py. (Without a server: `downstroke export reader --page`.)

uvicorn --app-dir examples drawing_page:app        # then open http://127.0.0.1:8000
"""

from fastapi.responses import HTMLResponse
from fastapi_app import app

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Draw digits</title>
<canvas width="600" height="250" style="border: 1px solid; max-width: 100%; touch-action: none"></canvas>
<p><button>Clear</button> <output>Draw a digit</output></p>
<script>
const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d"), told = document.querySelector("output");
const clear = () => { pen.fillStyle = "white"; pen.fillRect(0, 0, 600, 250); told.value = "Draw a digit"; };
const place = (event) => [event.offsetX, event.offsetY].map((pixels) => pixels * canvas.width / canvas.clientWidth);
pen.lineWidth = 14; pen.lineCap = pen.lineJoin = "round";
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  pen.beginPath();
  pen.moveTo(...place(event));
};
canvas.onpointermove = (event) => { if (event.buttons) { pen.lineTo(...place(event)); pen.stroke(); } };
canvas.onpointerup = () => canvas.toBlob(async (blob) => {
  const form = new FormData();
  form.append("picture", blob, "drawing.png");
  const answer = await fetch("/read", {method: "POST", body: form}), read = await answer.json();
  told.value = answer.ok ? read.text + (read.refused ? " (" + read.refused + " in doubt)" : "") : read.detail;
});
document.querySelector("button").onclick = clear;
clear();
</script>
"""


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    return PAGE
