#if Daemon
    /// The frames of pages, and what they load. Nothing comes from elsewhere.
    enum WebPage {
        /// What the dashboard may load and do: its own two files, its own events, nothing else, and in no frame.
        static let dashboardPolicy =
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        /// The same for the page of a folder, which runs no script; the hash names ``listingStyle``.
        static let listingPolicy =
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

        /// The page of a folder of a drive.
        static func listing(title: String, key: String, version: UInt64, rows: String) -> String {
            """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(HTMLText.escaped(title))</title><style>\(listingStyle)</style></head>
            <body><h1>\(HTMLText.escaped(title))</h1>
            <table>\(rows)</table>
            <p>Drive \(HTMLText.escaped(key)), version \(version)</p></body></html>

            """
        }

        private static let listingStyle = """
            :root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
            padding:0 1rem}h1{font-size:1.25rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
            td{padding:.3rem .5rem;border-bottom:1px solid #8883;overflow-wrap:anywhere}\
            td:last-child{text-align:right;white-space:nowrap;color:#777}a{text-decoration:none}\
            a:hover{text-decoration:underline}p{color:#777;font-size:.8rem;overflow-wrap:anywhere}
            """

        /// Puts a new state of each section into the page as it comes, and says when none comes any more.
        static let script = """
            "use strict";
            const marks = document.getElementById("connection");
            const events = new EventSource("/events");
            events.addEventListener("section", (event) => {
              const line = event.data.indexOf("\\n");
              const section = document.getElementById(event.data.slice(0, line));
              if (section) section.innerHTML = event.data.slice(line + 1);
              marks.hidden = true;
            });
            events.addEventListener("error", () => { marks.hidden = false; });

            """

        /// How the dashboard looks, in light and in dark.
        static let style = """
            :root {
              color-scheme: light dark;
              --ground: #f6f7f9; --card: #ffffff; --line: #e3e6ea; --ink: #1b2330; --soft: #5f6b7a;
              --accent: #2456d6; --good: #17803d; --warn: #a15c00; --bad: #c01c28; --fill: #2456d61f;
              --good-fill: #17803d1c; --warn-fill: #a15c001f; --bad-fill: #c01c281c; --track: #e8ebef;
            }
            @media (prefers-color-scheme: dark) {
              :root {
                --ground: #0f131a; --card: #171d27; --line: #28303c; --ink: #e6eaf0; --soft: #93a0b2;
                --accent: #7aa2ff; --good: #5fd38a; --warn: #f0b45a; --bad: #ff7b83; --fill: #7aa2ff26;
                --good-fill: #5fd38a22; --warn-fill: #f0b45a22; --bad-fill: #ff7b8322; --track: #28303c;
              }
            }
            * { box-sizing: border-box; }
            body { margin: 0; background: var(--ground); color: var(--ink);
              font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
            header { background: var(--card); border-bottom: 1px solid var(--line); }
            main, .bar { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
            .bar { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1rem; min-height: 3.5rem; }
            .bar h1 { font-size: 1.1rem; margin: 0; letter-spacing: -.01em; }
            .bar .facts { margin-left: auto; color: var(--soft); display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
            main { padding-top: 1.25rem; padding-bottom: 3rem; }
            .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem; }
            .card, .panel { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
            .card { padding: .9rem 1rem .8rem; display: flex; flex-direction: column; }
            .card h2 { margin: 0; font-size: .78rem; font-weight: 600; color: var(--soft); }
            .card .figure { font-size: 1.55rem; font-weight: 600; letter-spacing: -.02em; margin: .1rem 0;
              font-variant-numeric: tabular-nums; }
            .card .detail { color: var(--soft); font-size: .8rem; }
            .card svg { width: 100%; height: 44px; margin-top: auto; padding-top: .5rem; display: block; }
            .line { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
            .area { fill: var(--fill); stroke: none; }
            .panel { margin-top: 1.25rem; overflow: hidden; }
            .panel > h2 { margin: 0; padding: .8rem 1rem; font-size: .95rem; border-bottom: 1px solid var(--line); }
            .panel > h2 small { color: var(--soft); font-weight: 400; margin-left: .4rem; }
            .scroll { overflow-x: auto; }
            table { border-collapse: collapse; width: 100%; }
            th { text-align: left; font-size: .76rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
            th, td { padding: .5rem 1rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
            tbody tr:last-child td { border-bottom: 0; }
            td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
            td .sub { color: var(--soft); font-size: .78rem; }
            code { font: .82em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
            .key { white-space: nowrap; }
            a { color: var(--accent); text-decoration: none; }
            a:hover { text-decoration: underline; }
            a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
            .pill { display: inline-block; padding: .08rem .55rem; border-radius: 99px; font-size: .76rem; font-weight: 600;
              white-space: nowrap; background: var(--track); color: var(--soft); }
            .pill.good { background: var(--good-fill); color: var(--good); }
            .pill.busy { background: var(--fill); color: var(--accent); }
            .pill.warn { background: var(--warn-fill); color: var(--warn); }
            .pill.bad { background: var(--bad-fill); color: var(--bad); }
            meter, .meter { display: block; width: 100%; min-width: 6rem; height: 6px; margin-top: .3rem; }
            .meter rect { fill: var(--track); } .meter .part { fill: var(--accent); } .meter .whole { fill: var(--good); }
            .card .meter { height: 8px; padding: 0; margin-top: auto; }
            .empty { padding: 1rem; color: var(--soft); margin: 0; }
            ul.problems { margin: 0; padding: .8rem 1rem .8rem 2rem; }
            .notice { max-width: 76rem; margin: 1rem auto 0; padding: 0 1.25rem; }
            .notice p { margin: 0; padding: .6rem 1rem; border-radius: 8px; background: var(--warn-fill); color: var(--warn); }
            .notice[hidden] { display: none; }
            .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 0 1.25rem; }
            dl { display: grid; grid-template-columns: auto 1fr; gap: .35rem 1.2rem; margin: 0; padding: .9rem 1rem; }
            dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }

            """
    }
#endif
