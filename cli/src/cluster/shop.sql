-- A small shop of three tenants. Every value follows from row numbers, so that each new shop is the same shop.
SET ROLE app;

CREATE TABLE tenants (
    id         integer PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    plan       text NOT NULL
);
CREATE TABLE customers (
    id         integer PRIMARY KEY,
    tenant_id  integer NOT NULL REFERENCES tenants,
    name       text NOT NULL,
    email      text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE products (
    id          integer PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    name        text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    stock       integer NOT NULL CHECK (stock >= 0)
);
CREATE TABLE orders (
    id          integer PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    customer_id integer NOT NULL REFERENCES customers,
    status      text NOT NULL CHECK (status IN ('new', 'paid', 'shipped', 'cancelled')),
    note        text,
    ordered_at  timestamptz NOT NULL
);
CREATE TABLE order_items (
    order_id    integer NOT NULL REFERENCES orders,
    line        integer NOT NULL,
    product_id  integer NOT NULL REFERENCES products,
    quantity    integer NOT NULL CHECK (quantity > 0),
    price_cents integer NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE payments (
    id           integer PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenants,
    order_id     integer NOT NULL REFERENCES orders,
    amount_cents integer NOT NULL,
    paid_at      timestamptz NOT NULL
);
CREATE TABLE secrets (
    id         integer PRIMARY KEY,
    tenant_id  integer NOT NULL REFERENCES tenants,
    name       text NOT NULL,
    value      text NOT NULL
);

INSERT INTO tenants VALUES (1, 'acme', 'enterprise'), (2, 'globex', 'team'), (3, 'initech', 'free');

INSERT INTO customers
SELECT n,
       1 + n % 3,
       (ARRAY['Ada', 'Blaise', 'Carl', 'Dora', 'Emmy', 'Florence', 'Grace', 'Henri', 'Ida', 'John'])[1 + n % 10]
           || ' ' || (ARRAY['Ash', 'Birch', 'Cedar', 'Elm', 'Fir', 'Hazel', 'Larch'])[1 + n % 7],
       'customer' || n || '@example.com',
       timestamptz '2026-01-01 08:00:00+00' + n * interval '7 hours'
FROM generate_series(1, 60) AS n;

INSERT INTO products
SELECT n,
       1 + n % 3,
       (ARRAY['Anvil', 'Bolt', 'Crate', 'Drill', 'Engine', 'Fan', 'Gear', 'Hinge'])[1 + n % 8] || ' No. ' || n,
       495 + n * n * 25,
       20 + (n * 37) % 80
FROM generate_series(1, 24) AS n;

-- Each order goes to a customer of its own tenant: ids that leave the same rest by three belong together.
INSERT INTO orders
SELECT n,
       1 + n % 3,
       1 + (n - 1) % 60,
       (ARRAY['new', 'paid', 'shipped', 'paid', 'cancelled'])[1 + n % 5],
       NULL,
       timestamptz '2026-02-01 09:00:00+00' + n * interval '95 minutes'
FROM generate_series(1, 240) AS n;

INSERT INTO order_items
SELECT o.id, l.line, p.id, 1 + (o.id + l.line) % 4, p.price_cents
FROM orders AS o
CROSS JOIN LATERAL generate_series(1, 1 + o.id % 3) AS l(line)
JOIN products AS p ON p.id = 1 + (o.id - 1 + 3 * l.line) % 24;

INSERT INTO payments
SELECT row_number() OVER (ORDER BY o.id), o.tenant_id, o.id, sum(i.quantity * i.price_cents),
       o.ordered_at + interval '2 hours'
FROM orders AS o
JOIN order_items AS i ON i.order_id = o.id
WHERE o.status IN ('paid', 'shipped')
GROUP BY o.id;

INSERT INTO secrets
SELECT n, 1 + n % 3, (ARRAY['api key', 'signing key', 'webhook token'])[1 + (n - 1) / 3], 'not-a-real-secret-' || n
FROM generate_series(1, 9) AS n;

CREATE INDEX ON customers (tenant_id);
CREATE INDEX ON orders (tenant_id, ordered_at);
CREATE INDEX ON payments (order_id);

RESET ROLE;
COMMENT ON DATABASE shop IS 'the shop of clyra, complete';
