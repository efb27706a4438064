// Shows the mails and waits for new ones.
"use strict";

const list = document.querySelector("#mails");
const state = document.querySelector("#state");
const template = document.querySelector("template");

function article(mail) {
  const copy = template.content.cloneNode(true);
  const find = (selector) => copy.querySelector(selector);
  find(".subject").textContent = mail.subject;
  find(".to").textContent = mail.to;
  find("time").textContent = new Date(mail.date).toLocaleString();
  find("time").dateTime = mail.date;
  find(".text").textContent = mail.text;
  find("iframe").srcdoc = mail.html;
  if (mail.code) find(".code").textContent = mail.code;
  else find(".code").remove();
  for (const link of mail.links) {
    const anchor = document.createElement("a");
    anchor.textContent = link;
    anchor.href = link;
    anchor.target = "_blank";
    anchor.rel = "noreferrer noopener";
    const item = document.createElement("li");
    item.append(anchor);
    find(".links").append(item);
  }
  return copy;
}

async function follow() {
  let newest = "";
  for (;;) {
    try {
      const query = new URLSearchParams(newest ? { wait: "20s", after: newest } : { wait: "20s" });
      const answer = await fetch(`/dev/mails?${query}`, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { mails } = await answer.json();
      if (mails.length) {
        newest = mails[0].id;
        list.prepend(...mails.map(article));
      }
      state.textContent = list.childElementCount ? "" : "No mail yet.";
    } catch {
      state.textContent = "The service does not answer. Trying again.";
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

void follow();
