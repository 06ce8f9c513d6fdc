// The script of a report page: turns the JSON beside each chart into an ECharts chart.  Long, but one
// program.
#pragma once
#include <string_view>

namespace modx::io::page {

/// Draws every .chart from the JSON after it: colours of the scheme, bands, whiskers, cell labels, tooltips.
inline constexpr std::string_view script = R"js(
"use strict";
(() => {
  const inks = {
    light: {
      text: "#1f2328",
      faint: "#59636e",
      line: "#d8dee4",
      page: "#ffffff",
      ramp: ["#f2f6fc", "#9dbff0", "#1f5fc4"],
      cell: ["#1f2328", "#ffffff"],
      bar: 1,
      colours: "#57606a #1668c7 #cf3f02 #0b8a6f #8250df #a67c00 #c2257a #2e8b1f #7a2e1d #0a7f9e".split(" "),
    },
    dark: {
      text: "#e6e9ed",
      faint: "#9aa4af",
      line: "#30363d",
      page: "#0f1318",
      ramp: ["#161d28", "#24528f", "#8fc0ff"],
      cell: ["#e6e9ed", "#0f1318"],
      bar: 0.7,
      colours: "#aab4bf #62a8ff #ff8a4c #3fd0ae #b494ff #e3bd3c #ff7dc0 #7bd66a #e0937f #4fcdea".split(" "),
    },
  };
  const symbols = ["circle", "rect", "triangle", "diamond", "roundRect"];
  const number = v =>
    typeof v !== "number"
      ? "–"
      : v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-4)
        ? v.toExponential(2)
        : v.toFixed(4);
  // Colour i of the palette; after its last, all come again, half way to the text's.
  const colourOf = (ink, i) => {
    const base = ink.colours[i % ink.colours.length];
    if (i < ink.colours.length) return base;
    const part = (hex, k) => parseInt(hex.slice(k, k + 2), 16);
    return "rgb(" + [1, 3, 5].map(k => Math.round((part(base, k) + part(ink.text, k)) / 2)).join(",") + ")";
  };
  const safe = s => String(s).replace(/[&<>"']/g, c => "&#" + c.charCodeAt(0) + ";");
  const list = x => (x === undefined ? [] : Array.isArray(x) ? x : [x]);
  const last = v => (Array.isArray(v) ? v[v.length - 1] : v);
  const entry = p =>
    p.marker +
    safe(p.seriesName) +
    " <b>" +
    number(last(p.value)) +
    "</b>" +
    (typeof p.data.sd === "number" ? " ± " + number(p.data.sd) : "");

  const band = (rows, colour) => (params, api) => {
    if (params.dataIndexInside > 0) return null;
    const pieces = [[]]; // a gap ends a piece
    for (const r of rows)
      r.every(v => typeof v === "number") ? pieces[pieces.length - 1].push(r) : pieces.push([]);
    const edge = (piece, k) => piece.map(r => api.coord([r[0], r[k]]));
    return {
      type: "group",
      children: pieces
        .filter(p => p.length)
        .map(p => ({
          type: "polygon",
          shape: { points: edge(p, 2).concat(edge(p, 1).reverse()) },
          style: { fill: colour, opacity: 0.16 },
        })),
    };
  };
  const whisker = (rows, place, ink) => (params, api) => {
    const [x, low, high] = rows[params.dataIndex],
      at = place(api);
    if (!at || typeof low !== "number" || typeof high !== "number") return null;
    const a = api.coord([x, low]),
      b = api.coord([x, high]),
      half = Math.min(4, at.width / 3);
    const line = (x1, y1, x2, y2) => ({
      type: "line",
      shape: { x1, y1, x2, y2 },
      style: { stroke: ink.text, lineWidth: 1 },
    });
    const m = a[0] + at.offsetCenter;
    return {
      type: "group",
      children: [
        line(m, a[1], m, b[1]),
        line(m - half, a[1], m + half, a[1]),
        line(m - half, b[1], m + half, b[1]),
      ],
    };
  };

  function rows_of(names, width) {
    // lines that a legend takes, estimated
    let rows = 1,
      used = 0;
    for (const n of names) {
      const w = 36 + 7.2 * n.length;
      if (used > 0 && used + w > width) {
        rows += 1;
        used = 0;
      }
      used += w;
    }
    return names.length ? rows : 0;
  }
  function graph(option, ink, size) {
    for (const s of list(option.series)) {
      const most = Math.max(...s.links.map(l => l.value));
      for (const l of s.links)
        l.lineStyle = { width: 0.5 + (4.5 * l.value) / most, opacity: 0.25 + (0.6 * l.value) / most };
      s.data.forEach((node, i) => {
        const angle = (2 * Math.PI * i) / s.data.length,
          x = Math.sin(angle),
          y = -Math.cos(angle);
        const side = Math.abs(y) > 0.3 ? (y < 0 ? "top" : "bottom") : x < 0 ? "left" : "right";
        Object.assign(node, { x, y, label: { position: side } });
      });
      Object.assign(s, {
        layout: "none",
        top: 56,
        left: "center",
        width: size,
        height: size,
        symbolSize: 18,
        silent: false,
        edgeSymbol: ["none", "arrow"],
        edgeSymbolSize: 9,
        itemStyle: { color: ink.colours[2] },
        lineStyle: { color: ink.colours[1], curveness: 0.18 },
        label: { show: true, color: ink.text, fontSize: 12 },
      });
    }
    option.tooltip.formatter = p =>
      p.dataType === "edge"
        ? safe(option.series[0].data[p.data.source].name) +
          " → " +
          safe(option.series[0].data[p.data.target].name) +
          ": <b>" +
          number(p.data.value) +
          "</b>"
        : safe(p.name);
    return option;
  }
  function prepare(option, ink, chart, width) {
    const shown = () => {
      const now = chart.getOption(),
        legend = now && now.legend && now.legend[0];
      return option.legend.data.filter(n => !legend || !legend.selected || legend.selected[n] !== false);
    };
    const small = { color: ink.faint, fontSize: 12 };
    const ramped = option.visualMap !== undefined,
      title = option.title.text;
    Object.assign(option, {
      animation: false,
      backgroundColor: "transparent",
      textStyle: { color: ink.text, fontFamily: "inherit" },
    });
    option.title = {
      text: title,
      left: 0,
      top: 0,
      textStyle: { color: ink.text, fontSize: 14, fontWeight: 600 },
    };
    Object.assign(option.tooltip, {
      confine: true,
      backgroundColor: ink.page,
      borderColor: ink.line,
      textStyle: { color: ink.text, fontSize: 13 },
    });
    if (!option.xAxis) return graph(option, ink, chart.getHeight() - 92);
    const legend_rows = option.legend ? rows_of(option.legend.data, width) : 0;
    if (option.legend)
      Object.assign(option.legend, {
        type: legend_rows > 5 ? "scroll" : "plain",
        top: title ? 24 : 0,
        left: 0,
        itemWidth: 18,
        itemHeight: 9,
        itemGap: 8,
        textStyle: { color: ink.text, fontSize: 12 },
        pageTextStyle: small,
        pageIconColor: ink.text,
        pageIconInactiveColor: ink.line,
      });
    const head =
      (title ? 24 : 0) + (legend_rows > 5 ? 1 : legend_rows) * 21 + 5 + (option.yAxis.name ? 22 : 6);
    option.grid = {
      left: 4,
      right: width < 500 ? 8 : 18,
      top: head,
      bottom: option.xAxis.name ? 26 : 4,
      containLabel: true,
    };
    for (const [axis, isX] of [
      [option.xAxis, true],
      [option.yAxis, false],
    ])
      Object.assign(axis, {
        axisLine: { show: isX, lineStyle: { color: ink.line } },
        axisTick: { show: isX && !ramped, lineStyle: { color: ink.line } },
        axisLabel: {
          color: ink.faint,
          fontSize: 12,
          hideOverlap: !ramped,
          width: isX ? undefined : 110,
          overflow: "truncate",
          interval: axis.type === "category" ? 0 : undefined,
        },
        splitLine: { show: !isX && !ramped, lineStyle: { color: ink.line } },
        nameTextStyle: Object.assign({ align: isX ? "center" : "left" }, small),
        nameLocation: isX ? "middle" : ramped ? "start" : "end",
        nameGap: isX ? 26 : 10,
      });
    Object.assign(option.tooltip, {
      axisPointer: { type: option.xAxis.type === "category" ? "shadow" : "line" },
    });
    const place = p =>
      option.xAxis.type === "category"
        ? p.axisValueLabel
        : option.xAxis.name + " " + String(+Number(p.axisValue).toPrecision(6));
    const listed = p => /bar|line/.test(p.seriesType) && !/^thin/.test(p.seriesId);
    option.tooltip.formatter = p =>
      Array.isArray(p)
        ? p
            .slice(0, 1)
            .map(q => safe(place(q)))
            .concat(p.filter(listed).map(entry))
            .join("<br>")
        : safe(option.yAxis.data[p.value[1]]) +
          " → " +
          safe(option.xAxis.data[p.value[0]]) +
          ": <b>" +
          number(p.value[2]) +
          "</b>";
    if (ramped) Object.assign(option.visualMap, { inRange: { color: ink.ramp } });
    for (const s of list(option.series)) {
      const colour = colourOf(ink, s.colour || 0),
        id = String(s.id || "");
      if (s.type === "bar")
        Object.assign(s, {
          itemStyle: { color: colour, opacity: ink.bar },
          barGap: "10%",
          barCategoryGap: "20%",
        });
      if (s.type === "line")
        Object.assign(s, {
          itemStyle: { color: colour },
          symbol: symbols[(s.colour || 0) % symbols.length],
          symbolSize: 6,
          showSymbol: !s.thin && s.data.length < 12,
          silent: s.thin,
          z: s.thin ? 2 : 3,
          lineStyle: {
            color: colour,
            width: s.thin ? 1 : 2,
            opacity: s.thin ? 0.4 : 1,
            type: s.dashed ? "dashed" : "solid",
          },
        });
      if (s.type === "custom") s.itemStyle = { color: colour };
      if (id.startsWith("band")) Object.assign(s, { z: 1, renderItem: band(s.data, colour) });
      if (id.startsWith("whisker"))
        Object.assign(s, {
          z: 4,
          renderItem: whisker(
            s.data,
            api => {
              const names = shown(),
                i = names.indexOf(s.name);
              return i < 0
                ? null
                : api.barLayout({ barGap: "10%", barCategoryGap: "20%", count: names.length })[i];
            },
            ink,
          ),
        });
      if (s.type === "heatmap") {
        const { min, max } = option.visualMap;
        Object.assign(s, {
          itemStyle: { borderColor: ink.page, borderWidth: 2 },
          label: {
            show: true,
            fontSize: 12,
            formatter: p => (typeof p.value[2] === "number" ? p.value[2].toFixed(2) : "–"),
          },
        });
        for (const d of s.data) d.label = { color: ink.cell[d.value[2] - min > 0.6 * (max - min) ? 1 : 0] };
      }
    }
    return option;
  }

  const scheme = matchMedia("(prefers-color-scheme: dark)"),
    charts = [];
  let paper = false;
  function draw(c) {
    const before = c.chart && c.chart.getOption(),
      legend = before && before.legend && before.legend[0];
    if (c.chart) c.chart.dispose();
    const ink = inks[!paper && scheme.matches ? "dark" : "light"],
      size = paper ? { width: Math.min(c.place.clientWidth, 660) } : {};
    c.chart = echarts.init(c.place, null, Object.assign({ renderer: "svg" }, size));
    const option = JSON.parse(c.json);
    if (option.zero_toggle && c.box) option.yAxis.scale = !c.box.checked;
    if (legend) option.legend.selected = legend.selected;
    c.chart.setOption(prepare(option, ink, c.chart, c.chart.getWidth()));
  }
  const size = new ResizeObserver(all =>
    all.forEach(e => {
      const c = charts.find(o => o.place === e.target);
      if (c && !paper && c.chart.getWidth() !== e.target.clientWidth) draw(c);
    }),
  );
  for (const place of document.querySelectorAll(".chart")) {
    const c = { place, json: place.nextElementSibling.textContent, chart: null, box: null };
    if (JSON.parse(c.json).zero_toggle) {
      const label = document.createElement("label");
      c.box = Object.assign(document.createElement("input"), { type: "checkbox", onchange: () => draw(c) });
      label.append(c.box, " axis from 0");
      place.closest("figure").querySelector("figcaption").append(label);
    }
    charts.push(c);
    draw(c);
    size.observe(place);
  }
  scheme.addEventListener("change", () => charts.forEach(draw));
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach(d => {
      d.open = true;
    });
    paper = true;
    charts.forEach(draw);
  });
  addEventListener("afterprint", () => {
    folded.forEach(d => {
      d.open = false;
    });
    paper = false;
    charts.forEach(draw);
  });
})();
)js";

}  // namespace modx::io::page
