'use strict';
// The page of a report: draws its charts, sorts and filters its table, shows one lane, and lets
// lanes take part in the learning curves or not. All data stand in the page.
(() => {
  const about = JSON.parse(document.getElementById('about').textContent);
  const byId = (id) => document.getElementById(id);
  const lanes = new Map(about.lanes.map((lane) => [lane.id, lane]));

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Charts. Colours are variables of the style sheet, so that a theme is no reason to draw again.
  function draw(place, spec) {
    // The interpreter in place of eval: the policy of the page forbids it.
    return vegaEmbed(place, spec, {ast: true, renderer: 'svg', actions: false, defaultStyle: true});
  }
  const waiting = new Map();
  for (const place of document.querySelectorAll('[data-chart]')) {
    waiting.set(place, () => draw(place, about.specs[place.dataset.chart]));
  }
  function drawNow(place) {
    const start = waiting.get(place);
    waiting.delete(place);
    return start ? start() : null;
  }
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) drawNow(entry.target);
  }, {rootMargin: '400px'});

  // Dark or light: what the system asks for, until the button is pressed.
  const theme = byId('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? 'dark' : 'light')) === 'dark';
  function nameTheme() {
    theme.textContent = isDark() ? 'light page' : 'dark page';
    theme.setAttribute('aria-pressed', String(isDark()));
  }
  theme.addEventListener('click', () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    nameTheme();
  });
  dark.addEventListener('change', nameTheme);
  nameTheme();

  // The table.
  const table = byId('lanes');
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstChild.addEventListener('click', () => {
    const upwards = head.getAttribute('aria-sort') !== 'ascending';
    heads.forEach((other) => other.setAttribute('aria-sort', 'none'));
    head.setAttribute('aria-sort', upwards ? 'ascending' : 'descending');
    const numeric = head.dataset.kind === 'number';
    const key = (row) => {
      const cell = row.cells[column];
      return numeric ? parseFloat(cell.dataset.value ?? 'NaN') : cell.textContent;
    };
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, 'en', {numeric: true}));
    const unknown = (value) => Number.isNaN(value) || value === '';
    const sorted = rows.map((row, i) => [key(row), i, row]).sort(([a, i], [b, j]) => {
      if (unknown(a) || unknown(b)) return unknown(a) - unknown(b) || i - j;  // last, either way
      return (upwards ? compare(a, b) : compare(b, a)) || i - j;
    });
    table.tBodies[0].append(...sorted.map(([, , row]) => row));
  }));
  function filterRows() {
    const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = byId('status').value;
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (status && row.dataset.status !== status);
      count += !row.hidden;
    }
    byId('matching').textContent = count === rows.length ? '' : `${count} of ${rows.length} lanes`;
  }
  byId('filter').addEventListener('input', filterRows);
  byId('status').addEventListener('change', filterRows);

  // One lane. These ten colours are told apart on a light and on a dark page.
  const CLASSES = ['#4c78a8', '#f58518', '#54a24b', '#e45756', '#3fb5ad', '#b279a2', '#d6a900', '#ff8fa3',
    '#9d755d', '#8c9aa8'];
  function show(id) {
    const lane = lanes.get(id);
    byId('lane').value = id;
    byId('facts').textContent = lane.facts;
    byId('warnings').replaceChildren(...lane.warnings.map((text) => element('li', {textContent: text})));
    byId('pictures').replaceChildren(...Object.entries(about.kinds[lane.study])
      .filter(([kind]) => lane.pictures[kind])
      .map(([kind, words]) => {
        const image = element('img', {alt: `${words}, of ${id}`, className: lane.enlargement < 1 ? 'fine' : ''});
        image.addEventListener('load', () => {
          image.style.width = `${lane.enlargement * image.naturalWidth}px`;
        });
        image.src = lane.pictures[kind];
        const names = (lane.rows[kind] || []).map((name) => element('span', {textContent: name}));
        const named = element('div', {className: 'rows'}, element('div', {}, ...names), image);
        return element('figure', {}, element('figcaption', {textContent: words}), names.length ? named : image);
      }));
    for (const row of rows) row.classList.toggle('shown', row.dataset.lane === id);
    drawLane(lane);
  }
  function drawLane(lane) {
    const place = byId('latents');
    place.hidden = !lane.latents.length;
    if (lane.latents.length) draw(place, {...about.specs.latents, datasets: {latents: lane.latents}});
    place.parentElement.hidden = place.hidden;
    const {of, values} = about.labels[lane.study];
    const names = [...new Set(values)].sort((a, b) => (a - b) || String(a).localeCompare(b, 'en'));
    const colour = (i) => (names.length > CLASSES.length ? ramp(i, names.length) : CLASSES[i]);
    const known = (i) => (values ? {label: values[i], colour: colour(names.indexOf(values[i]))}
      : {label: '', colour: ramp(0, 1)});
    const codes = byId('codes');
    codes.parentElement.hidden = !lane.codes.length;
    codes.previousElementSibling.replaceChildren(
      element('span', {textContent: `test examples along the latents used most${of ? `, by ${of}: ` : ''}`}),
      ...names.map((name, i) => {
        const dot = element('i');
        dot.style.background = colour(i);
        return element('span', {className: 'key'}, dot, String(name));
      }));
    const data = lane.codes.map(([x, y], i) => ({x, y, ...known(i)}));
    const alone = data.every(({x, y}) => x === y) || data.every(({y}) => y === 0);  // the second one is inert
    const {encoding, ...rest} = about.specs[alone ? 'code' : 'codes'];
    const [first, second] = lane.axes;
    const named = {...encoding, x: {...encoding.x, title: first}};
    if (!alone) named.y = {...encoding.y, title: second};
    if (data.length) draw(codes, {...rest, encoding: named, datasets: {codes: data}});
  }
  byId('lane').addEventListener('change', (event) => show(event.target.value));
  document.addEventListener('click', (event) => {
    const pressed = event.target.closest('[data-show]');
    if (!pressed) return;
    show(pressed.dataset.show);
    byId('one').scrollIntoView();
    byId('lane').focus({preventScroll: true});
  });

  // Learning curves.
  function ramp(index, count) {  // as `colours.ordered`
    return `var(--ramp-${count > 1 ? Math.round(index * 47 / (count - 1)) : 16})`;
  }
  function setUpLearning() {
    const place = byId('learning');
    const drawn = about.lanes.filter((lane) => lane.curve);
    // Nats of different data are no axis together: the first study is shown, others on demand.
    const on = new Set(drawn.filter((lane) => about.sameNats || lane.study === drawn[0].study).map((lane) => lane.id));
    let view = null;
    const groupOf = (lane) => lane.groups[byId('group').value];
    const groups = () => [...new Set(drawn.map(groupOf))].sort((a, b) => (parseFloat(a) - parseFloat(b)) || a.localeCompare(b, 'en'));
    function points() {
      const names = groups();
      const colours = new Map(names.map((name, i) => [name, ramp(i, names.length)]));
      return drawn.filter((lane) => on.has(lane.id)).flatMap((lane) => lane.curve[0].map((step, i) => ({
        step, value: lane.curve[1][i], lane: lane.id, group: groupOf(lane), colour: colours.get(groupOf(lane)),
      })));
    }
    async function redraw() {
      if (view) await view.data('curves', points()).runAsync();
    }
    function boxes() {
      const names = groups();
      byId('groups').replaceChildren(...names.map((name, i) => {
        const members = drawn.filter((lane) => groupOf(lane) === name);
        const count = members.filter((lane) => on.has(lane.id)).length;
        const box = element('input', {type: 'checkbox', checked: count > 0,
          indeterminate: count > 0 && count < members.length});
        box.addEventListener('change', () => {
          members.forEach((lane) => (box.checked ? on.add(lane.id) : on.delete(lane.id)));
          singles();
          redraw();
        });
        const line = element('i');
        line.style.background = ramp(i, names.length);
        return element('label', {}, box, line, name);
      }));
    }
    function singles() {
      byId('singles').replaceChildren(...drawn.map((lane) => {
        const box = element('input', {type: 'checkbox', checked: on.has(lane.id)});
        box.addEventListener('change', () => {
          if (box.checked) on.add(lane.id); else on.delete(lane.id);
          boxes();
          redraw();
        });
        return element('label', {}, box, ` ${lane.id}`);
      }));
    }
    byId('group').addEventListener('change', () => { boxes(); redraw(); });
    boxes();
    singles();
    waiting.set(place, async () => {
      ({view} = await draw(place, {...about.specs.learning, datasets: {curves: points()}}));
    });
  }
  if (byId('learning')) setUpLearning();

  show(about.best);
  for (const place of waiting.keys()) seen.observe(place);
  const drawAll = () => Promise.all([...waiting.keys()].map(drawNow));
  addEventListener('beforeprint', drawAll);
  // What is not seen yet is drawn when there is time, so that a print has it.
  addEventListener('load', () => (window.requestIdleCallback || setTimeout)(async () => {
    for (const place of [...waiting.keys()]) {
      await drawNow(place);
      await new Promise((resolve) => setTimeout(resolve));
    }
    document.documentElement.dataset.drawn = 'all';
  }));
})();
