SET LOCAL lock_timeout = '1s';
DROP TABLE payments;
DROP TABLE order_lines;
DROP TABLE orders;
