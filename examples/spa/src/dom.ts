/** The little that the pages need of the DOM. Text goes in as text, never as markup. */
import { HallpassError } from "hallpass-client";

export function find<T extends Element = HTMLElement>(selector: string, root: ParentNode = document): T {
  const element = root.querySelector<T>(selector);
  if (!element) throw new Error(`index.html has no ${selector}`);
  return element;
}

/** A copy of a template of index.html; elements with `data-text` take the field that they name. */
export function instance(template: string, texts: object = {}): DocumentFragment {
  const copy = find<HTMLTemplateElement>(`template#${template}`).content.cloneNode(true) as DocumentFragment;
  for (const element of copy.querySelectorAll<HTMLElement>("[data-text]")) {
    const text: unknown = Object.entries(texts).find(([name]) => name === element.dataset.text)?.[1];
    element.textContent = shown(String(text ?? ""));
  }
  return copy;
}

function shown(text: string): string {
  return /^\d{4}-\d\d-\d\dT/.test(text) ? new Date(text).toLocaleString() : text;
}

export function notice(text: string): void {
  find("#notice").textContent = text;
}

let farewell = "";

/** To another page, which says `text`. A used link is not left behind in the history. */
export function go(path: string, text = ""): void {
  farewell = text;
  location.replace(`#${path}`);
}

export function onArrival(show: () => void): void {
  window.addEventListener("hashchange", () => {
    notice(farewell);
    farewell = "";
    show();
  });
}

/** Runs `work` with the fields of the form; while it runs the form cannot be sent again. */
export function onSubmit(form: HTMLFormElement, work: (fields: Record<string, string>) => Promise<unknown>): void {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    const button = find<HTMLButtonElement>("button", form);
    complain(form);
    notice("");
    button.disabled = true;
    try {
      await work(fields);
    } catch (error) {
      complain(form, error);
    } finally {
      button.disabled = false;
    }
  });
}

/** Says beside the form what went wrong, and marks the fields that the service named. */
export function complain(form: HTMLFormElement, error?: unknown): void {
  const faults = (error instanceof HallpassError && error.problem?.errors) || [];
  for (const input of form.querySelectorAll("input")) {
    input.setAttribute("aria-invalid", String(faults.some((fault) => fault.field === input.name)));
  }
  const texts = faults.length ? faults.map((fault) => `${fault.field}: ${fault.message}`) : [explanation(error)];
  find(".problem", form).textContent = texts.join(" ");
}

export function explanation(error: unknown): string {
  if (error === undefined) return "";
  if (error instanceof HallpassError) return error.message;
  console.error(error);
  return "The service cannot be reached. Please try again.";
}
