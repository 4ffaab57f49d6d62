SELECT md5(concat_ws('|',
  (SELECT string_agg(concat_ws(':', n.oid, n.nspname, n.xmin), ',' ORDER BY n.oid) FROM pg_namespace n
    WHERE n.nspname !~ '^pg_(toast|temp)'),
  (SELECT string_agg(concat_ws(':', c.oid, c.xmin), ',' ORDER BY c.oid) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'),
  (SELECT string_agg(concat_ws(':', a.attrelid, a.attnum, a.xmin), ',' ORDER BY a.attrelid, a.attnum)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= 16384 AND a.attnum > 0
      AND n.nspname !~ '^pg_(toast|temp)'),
  (SELECT string_agg(concat_ws(':', i.inhrelid, i.inhparent, i.xmin), ',' ORDER BY i.inhrelid, i.inhparent)
    FROM pg_inherits i),
  (SELECT string_agg(concat_ws(':', w.oid, w.xmin), ',' ORDER BY w.oid) FROM pg_rewrite w WHERE w.oid >= 16384),
  (SELECT string_agg(concat_ws(':', t.oid, t.xmin), ',' ORDER BY t.oid) FROM pg_trigger t WHERE NOT t.tgisinternal),
  (SELECT string_agg(concat_ws(':', p.oid, p.xmin), ',' ORDER BY p.oid) FROM pg_proc p WHERE p.oid >= 16384),
  (SELECT string_agg(concat_ws(':', o.oid, o.xmin), ',' ORDER BY o.oid) FROM pg_operator o WHERE o.oid >= 16384),
  (SELECT string_agg(concat_ws(':', k.oid, k.xmin), ',' ORDER BY k.oid) FROM pg_cast k WHERE k.oid >= 16384),
  (SELECT string_agg(concat_ws(':', y.oid, y.xmin), ',' ORDER BY y.oid) FROM pg_type y
    WHERE y.oid >= 16384 AND y.typrelid = 0 AND y.typtype <> 'b' OR y.oid >= 16384 AND y.typelem = 0 AND y.typrelid = 0),
  (SELECT string_agg(concat_ws(':', q.oid, q.xmin), ',' ORDER BY q.oid) FROM pg_constraint q WHERE q.contypid <> 0)
))
