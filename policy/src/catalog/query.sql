SELECT json_build_object(
  'database', current_database(),
  'server_version', current_setting('server_version'),
  'relations', (SELECT coalesce(json_agg(r ORDER BY r."schema", r.name), '[]') FROM (
    SELECT n.nspname AS "schema", c.relname AS name, c.relkind AS kind,
      pg_get_userbyid(c.relowner) AS owner,
      c.relrowsecurity AS row_security, c.relforcerowsecurity AS row_security_forced,
      ARRAY(SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
      (SELECT coalesce(json_agg(json_build_array(pn.nspname, p.relname)), '[]') FROM pg_inherits i
        JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid) AS parents,
      (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(w.ev_type::text, dn.nspname, d.relname)), '[]')
        FROM pg_rewrite w JOIN pg_depend x ON x.classid = 'pg_rewrite'::regclass AND x.objid = w.oid
          AND x.refclassid = 'pg_class'::regclass AND x.refobjid <> c.oid
        JOIN pg_class d ON d.oid = x.refobjid JOIN pg_namespace dn ON dn.oid = d.relnamespace
        WHERE w.ev_class = c.oid) AS rule_relations,
      (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(w.ev_type::text, dn.nspname, d.proname)), '[]')
        FROM pg_rewrite w JOIN pg_depend x ON x.classid = 'pg_rewrite'::regclass AND x.objid = w.oid
          AND x.refclassid = 'pg_proc'::regclass
        JOIN pg_proc d ON d.oid = x.refobjid JOIN pg_namespace dn ON dn.oid = d.pronamespace
        WHERE w.ev_class = c.oid) AS rule_functions,
      (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(dn.nspname, d.proname)), '[]')
        FROM pg_trigger t JOIN pg_proc d ON d.oid = t.tgfoid JOIN pg_namespace dn ON dn.oid = d.pronamespace
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)') r),
  'functions', (SELECT coalesce(json_agg(f ORDER BY f."schema", f.name), '[]') FROM (
    SELECT n.nspname AS "schema", p.proname AS name, p.prokind AS kind, p.provolatile AS volatility,
      p.prosecdef AS security_definer, p.proretset AS gives_rows, l.lanname AS language,
      EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
        AND e.deptype = 'e') AS extension,
      (SELECT json_build_array(tn.nspname, t.typname) FROM pg_type t
        JOIN pg_namespace tn ON tn.oid = t.typnamespace
        WHERE p.pronargs = 1 AND t.oid = p.proargtypes[0] AND t.typtype = 'c') AS row_argument,
      (SELECT substr(g, 13) FROM unnest(p.proconfig) g WHERE g LIKE 'search_path=%') AS search_path,
      CASE WHEN l.lanname IN ('sql', 'plpgsql') AND p.prokind <> 'a'
        THEN coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) END AS body,
      (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(sn.nspname, s.proname)), '[]') FROM pg_aggregate g
        JOIN pg_proc s ON s.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggmtransfn, g.aggminvtransfn,
          g.aggmfinalfn, g.aggserialfn, g.aggdeserialfn)
        JOIN pg_namespace sn ON sn.oid = s.pronamespace WHERE g.aggfnoid = p.oid) AS steps
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast') f),
  'operators', (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', o.oprname,
      'function', json_build_array(fn.nspname, f.proname)) ORDER BY n.nspname, o.oprname, f.proname), '[]')
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
    JOIN pg_proc f ON f.oid = o.oprcode JOIN pg_namespace fn ON fn.oid = f.pronamespace
    WHERE n.nspname <> 'pg_catalog'),
  'types', (SELECT coalesce(json_agg(y ORDER BY y."schema", y.name), '[]') FROM (
    SELECT n.nspname AS "schema", t.typname AS name,
      (SELECT coalesce(json_agg(DISTINCT jsonb_build_array(fn.nspname, f.proname)), '[]') FROM (
        SELECT k.castfunc AS oid FROM pg_cast k WHERE t.oid IN (k.castsource, k.casttarget) AND k.castfunc <> 0
        UNION
        SELECT x.refobjid FROM pg_constraint q JOIN pg_depend x ON x.classid = 'pg_constraint'::regclass
          AND x.objid = q.oid AND x.refclassid = 'pg_proc'::regclass WHERE q.contypid = t.oid) u
        JOIN pg_proc f ON f.oid = u.oid JOIN pg_namespace fn ON fn.oid = f.pronamespace) AS functions
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typname !~ '^_' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname !~ '^pg_(toast|temp)') y)
)::text
