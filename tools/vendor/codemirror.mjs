// The editor of an exercise, from the parts of CodeMirror 6 that it needs. `make vendor` bundles this file into
// src/fathom/learn/web/vendor/codemirror.mjs, which static/editor.js loads when an exercise comes near.
import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentLess, indentMore, isolateHistory } from "@codemirror/commands";
import { pythonLanguage } from "@codemirror/lang-python";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tagHighlighter, tags } from "@lezer/highlight";
import { StyleModule } from "style-mod";

const INDENT = "    ";
const given = Annotation.define(); // a text that came from outside, so nobody has to be told of it

// The policy of the pages allows no <style>, which style-mod would put into a document; into a shadow root it
// adopts a sheet, which is allowed. So it is told that the document is one.
const mount = StyleModule.mount;
const adopting = {
  ownerDocument: document,
  get adoptedStyleSheets() {
    return document.adoptedStyleSheets;
  },
  set adoptedStyleSheets(sheets) {
    document.adoptedStyleSheets = sheets;
  },
};
StyleModule.mount = (_, modules) => mount(adopting, modules);

// The classes of code on the pages: their colours follow the theme without this bundle.
const colours = tagHighlighter([
  { tag: [tags.keyword, tags.bool, tags.null], class: "k" },
  { tag: tags.string, class: "s" },
  { tag: tags.number, class: "m" },
  { tag: tags.comment, class: "c" },
  { tag: [tags.function(tags.definition(tags.variableName)), tags.definition(tags.className), tags.meta], class: "f" },
]);

// Brackets are closed, quotes are not: of a string over several lines the last ones would be typed twice.
const closed = Prec.highest(EditorState.languageData.of(() => [{ closeBrackets: { brackets: ["(", "[", "{"] } }]));

const keys = [
  { key: "Tab", run: indent, shift: indentLess },
  ...closeBracketsKeymap,
  ...defaultKeymap.filter(({ key }) => key !== "Mod-Enter"), // which checks the answer
  ...historyKeymap,
];

/** To the next stop of an indent; lines that are selected move together. */
function indent(view) {
  const { state } = view;
  const { from, to } = state.selection.main;
  const line = state.doc.lineAt(from);
  if (to > line.to) return indentMore(view);
  view.dispatch(state.replaceSelection(INDENT.slice((from - line.from) % INDENT.length)), {
    scrollIntoView: true,
    userEvent: "input",
  });
  return true;
}

/**
 * Open an editor at the end of `parent`. `attributes` are those of what has the focus; `changed` is told the text
 * whenever somebody changed it, or it was replaced.
 */
export function open(parent, { text, from, to, attributes, changed }) {
  const view = new EditorView({
    parent,
    doc: text,
    selection: { anchor: from, head: to },
    extensions: [
      [EditorState.tabSize.of(INDENT.length), indentUnit.of(INDENT), indentOnInput()],
      [pythonLanguage, syntaxHighlighting(colours), bracketMatching(), closed, closeBrackets()],
      [lintGutter(), lineNumbers(), history(), keymap.of(keys)],
      EditorView.contentAttributes.of(attributes),
      EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        changed(update.state.doc.toString(), !update.transactions.some((one) => one.annotation(given)));
      }),
    ],
  });
  return {
    view,
    /** Another text, as one step that can be undone. */
    replace(other) {
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: other },
        selection: { anchor: 0 },
        annotations: [given.of(true), isolateHistory.of("full")],
      });
    },
    /** Say something at a line; at line 0, nothing at any. */
    mark(number, message) {
      const found = [];
      if (number >= 1 && number <= view.state.doc.lines) {
        const line = view.state.doc.line(number);
        const start = line.from + /^\s*/.exec(line.text)[0].length;
        found.push({ from: start, to: line.to, severity: "error", message });
      }
      view.dispatch(setDiagnostics(view.state, found));
    },
  };
}
