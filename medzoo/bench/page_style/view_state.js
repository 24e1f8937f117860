// The state of the view is in the address fragment, so that a link shows the same view, and every change can be undone.
// Each page has START(), its first state; encoded(state) and decoded(text), the fragment; and QUIET, the part that is not a step of undo.
let state = START();
const past = [];
const onChange = [];  // functions of the other files, called in their order after each change

function show() {
  const fragment = encoded(state);
  try { history.replaceState(null, "", fragment ? "#" + fragment : location.pathname + location.search); } catch (error) { /* a sandbox */ }
  onChange.forEach(change => change());
}

// Change the view. Letters typed one after another are one step of undo.
function set(change, step = "") {
  const before = encoded({...state, ...QUIET});
  state = {...state, ...change};
  if (encoded({...state, ...QUIET}) !== before) {
    const last = past[past.length - 1];
    if (!(step && last && last.step === step)) past.push({before, step});
  }
  show();
}

function undo() {
  const last = past.pop();
  if (last) { state = decoded(last.before); show(); say("Undone."); }
}

addEventListener("hashchange", () => {
  if (location.hash.replace(/^#/, "") === encoded(state)) return;
  past.push({before: encoded({...state, ...QUIET}), step: ""});
  state = decoded(location.hash);
  show();
});
