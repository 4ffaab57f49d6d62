// What the build takes in: texts, and the schemas of spec/schema/common.

declare module "*.txt" {
  const content: string;
  export default content;
}

declare module "clyra:schemas" {
  const documents: { $id: string }[];
  export default documents;
}
