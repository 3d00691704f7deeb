// The worker: the network is given once, then each drawing or glyph is answered with what was read.

let network = null;

onmessage = ({ data: { id, begin, grey, size, glyph } }) => {
  if (begin) {
    network = new Network(begin.facts, begin.weights);
    return;
  }
  const began = performance.now();
  postMessage({ id, ...(glyph ? answer([glyph]) : read(grey, size)), ms: performance.now() - began });
};

function read(grey, size) {
  const found = glyphOf(grey, size);
  if (!found) return { blank: true };
  return answer([found.glyph, ...(network.windows ? windowsOf(grey, size, found.box) : [])]);
}

function answer(looks) {
  const logits = ofLooks(looks.map((glyph) => network.logits(glyph)));
  const accepted = network.threshold === null || score(logits) >= network.threshold;
  return { glyph: looks[0], probabilities: softmax(logits), accepted };
}
