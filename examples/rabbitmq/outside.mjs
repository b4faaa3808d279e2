// Sends a task to the worker `shop`, and hears what becomes of it: with amqplib, without LTQ.
//
//     npm install amqplib
//     node examples/rabbitmq/outside.mjs 7

import amqp from "amqplib";

const url = process.env.AMQP_URL ?? "amqp://guest:guest@localhost:5672/%2F";
const prefix = process.env.LTQ_PREFIX ?? "ltq";
const order = Number(process.argv[2] ?? 7);
const id = `order-${order}-${Date.now()}`;

const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(queue, `${prefix}.events`, "shop.checkout.*");

const ended = new Promise((resolve) =>
  channel.consume(
    queue,
    (message) => {
      const event = JSON.parse(message.content.toString());
      const isFinal = ["completed", "failed", "rejected", "cancelled"].includes(event.event);
      if (event.id === id && isFinal) resolve(event);
    },
    { noAck: true },
  ),
);

channel.on("return", () => {
  console.error(`no queue ${prefix}.shop: no worker, bridge or send has declared it`);
  process.exit(1);
});

const call = { task: "shop:checkout", args: [order], id };
channel.publish(prefix, `${prefix}.shop`, Buffer.from(JSON.stringify(call)), {
  persistent: true,
  mandatory: true,
});
await channel.waitForConfirms();

const event = await ended;
console.log(event.event, event.result ?? event.error);
await connection.close();
process.exitCode = event.event === "completed" ? 0 : 1;
